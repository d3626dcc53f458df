"""The environment, read here and nowhere else."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from components.core.errors import Misconfigured

_QUIET = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GX_ANALYTICS_ENABLED": "false",
    "DVC_NO_ANALYTICS": "1",
    "GIT_PYTHON_REFRESH": "quiet",
}

HEARTBEAT_SECONDS = 30
"""How often a flow run says that it lives; Prefect allows no less."""


@dataclass(frozen=True)
class Settings:
    """Where things lie on this machine and which ports they answer on.

    Attributes:
        root: the checkout (JALI_ROOT, by default the folder that holds `components/`).
        home: ledger, keys, stored bundles and records (JALI_HOME, by default the user's data folder). It is outside
            the checkout, so that a fresh clone does not mint a fresh budget.
        ledger_url: where the ledger lies (JALI_LEDGER_URL, by default `ledger.db` in `home`): for several machines
            `postgresql://user@host/database`.
        identities: the reviewed file with the public halves of people's keys (JALI_IDENTITIES).
        mlflow_uri: where runs and versions are kept (JALI_MLFLOW_URI, by default `mlruns/mlflow.db`).
        prefect_port, mlflow_port, serving_port: loopback ports (JALI_PREFECT_PORT, JALI_MLFLOW_PORT,
            JALI_SERVING_PORT).
    """

    root: Path
    home: Path
    identities: Path
    mlflow_uri: str
    ledger_url: str | None = None
    prefect_port: int = 4200
    mlflow_port: int = 5000
    serving_port: int = 8080

    @property
    def prefect_url(self) -> str:
        """The API of the local Prefect server."""
        return f"http://127.0.0.1:{self.prefect_port}/api"

    @property
    def var(self) -> Path:
        """Process ids, logs and workspaces of this checkout; ignored by git."""
        return self.root / "var"

    @property
    def prefect_environment(self) -> dict[str, str]:
        """What a process needs to find this checkout's Prefect server, and to be seen alive by it."""
        return {
            "PREFECT_HOME": str(self.var / "prefect"),
            "PREFECT_API_URL": self.prefect_url,
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS),
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
            # By default it forgets, when it is killed, who holds a place, and nobody ever gets that place again.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION": "60",
            "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "10",
            "PREFECT_WORKER_QUERY_SECONDS": "5",
            "JALI_ROOT": str(self.root),
        }

    @property
    def artifacts(self) -> Path:
        """MLflow's artifacts."""
        return self.root / "mlruns" / "artifacts"


def load() -> Settings:
    """Read the settings of this process from its environment."""
    root = Path(os.environ.get("JALI_ROOT") or Path(__file__).parents[2]).resolve()
    home = Path(os.environ.get("JALI_HOME") or platformdirs.user_data_dir("jali")).expanduser().resolve()
    return Settings(
        root=root,
        home=home,
        identities=Path(os.environ.get("JALI_IDENTITIES") or root / "identities.yaml"),
        mlflow_uri=os.environ.get("JALI_MLFLOW_URI") or f"sqlite:///{root / 'mlruns' / 'mlflow.db'}",
        ledger_url=os.environ.get("JALI_LEDGER_URL") or None,
        prefect_port=_port("JALI_PREFECT_PORT", 4200),
        mlflow_port=_port("JALI_MLFLOW_PORT", 5000),
        serving_port=_port("JALI_SERVING_PORT", 8080),
    )


def _port(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Misconfigured(
            f"{name} is no port", value=repr(text), limit="1 to 65535", next_step="Set it, or unset it."
        )
    return int(text)


def point_prefect_here() -> None:
    """Let Prefect in this process talk to this checkout's server, unless the environment names another one."""
    here = load()
    here.var.mkdir(parents=True, exist_ok=True)  # Prefect makes its home in it, and warns where it cannot
    for name, value in here.prefect_environment.items():
        os.environ.setdefault(name, value)


def silence_telemetry() -> None:
    """Turn off what the six packages report about their use and draw on the console, unless the environment differs."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)

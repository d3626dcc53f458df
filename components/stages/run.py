"""Where a run works: its workspace, its parameters, and this machine's settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.core import params, service, settings
from components.core.errors import ContractBroken, Misconfigured
from components.core.evidence import RecordStore
from components.core.trials import with_trials

if TYPE_CHECKING:
    from components.privacy.ledger import Ledger


@dataclass(frozen=True)
class Run:
    """One workspace and what it is run with; every stage takes it and knows nothing else.

    Attributes:
        root: the workspace: the checkout for `dvc repro`, `var/workspaces/<source>` for a flow.
        params: the workspace's `params.yaml`.
        settings: this process' environment.
    """

    root: Path
    params: params.Params
    settings: settings.Settings

    @classmethod
    def open(cls, root: Path) -> Run:
        """Read the parameters of the workspace `root` and the settings of this process."""
        return cls(root=root, params=params.load(root / "params.yaml"), settings=settings.load())

    @property
    def data(self) -> Path:
        """Raw, checked, prepared and split tables: the trusted zone."""
        return self.root / "data"

    @property
    def reports(self) -> Path:
        """Data Docs and training curves: the trusted zone."""
        return self.root / "reports"

    def table(self, stage: str, name: str) -> Path:
        """Return a table that the data stage `stage` left, as `("checked", "events")`.

        Raises:
            ContractBroken: it is not there.
        """
        path = self.data / stage / f"{name}.parquet"
        if not path.exists():
            raise ContractBroken(f"The table {path} is missing", next_step="Run `dvc repro`, or the stage before this.")
        return path

    def models(self, name: str) -> Path:
        """Bundles of a service by candidate: released."""
        return self.root / "models" / name

    def evidence(self, name: str, stage: str) -> Path:
        """Records that a stage left for a service: released."""
        return self.root / "evidence" / name / stage

    def metrics(self, name: str) -> Path:
        """The released metrics of a service, for `dvc metrics`."""
        return self.root / "metrics" / f"{name}.json"

    def plots(self, name: str) -> Path:
        """Plots of released figures of a service, for people and `dvc plots`."""
        return self.root / "plots" / name

    def service(self, name: str) -> tuple[service.Service, Any]:
        """Return a service with the candidates that take part, trials of a tuning included, and its checked parameters.

        Raises:
            Misconfigured: there is no such service or the parameters do not name it, or its own or a trial's have an
                unknown key.
        """
        found = service.find(name)
        if name not in self.params.services:
            raise Misconfigured(
                f"The service {name} is not among those of params.yaml",
                limit=f"services: {', '.join(self.params.services)}",
                next_step=f"Add it there (`{name}: {{}}`), or name one of those.",
            )
        own = params.parse(found.params, self.params.services[name], f"params.yaml: services.{name}")
        return with_trials(found.taking_part(own), self.params.training.trials.get(name, {}), own), own

    def ledger(self) -> Ledger:
        """Open this machine's ledger with the caps, blocks and splits of the parameters.

        Raises:
            Misconfigured: the ledger's accounts are of other blocks or splits, or of people named by another key.
        """
        from components.data.pseudonym import fingerprint
        from components.privacy.ledger import Ledger, Partition

        privacy = self.params.privacy
        partition = Partition(block=privacy.block, split=self.params.split)
        return Ledger.open(
            self.settings.home,
            privacy.cap,
            privacy.lifetime_cap,
            partition=partition,
            people=fingerprint(self.settings.home),
            url=self.settings.ledger_url,
        )

    def records(self) -> RecordStore:
        """Return the records by content key that outlive a workspace."""
        return RecordStore(self.settings.home / "records")

"""Audit: what the canaries of a training prove, and the mechanism on simulated rows under next to no and far too much
noise. It costs nothing.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from components.core import digest
from components.core import params as parameters
from components.core.errors import ContractBroken
from components.core.files import atomic_path
from components.core.progress import Progress, no_progress
from components.core.records import Audit, Evaluation, Trained
from components.core.service import Candidate, Service
from components.stages.budget import Budget
from components.stages.run import Run

USERS, ITEMS = 2000, 200
_SOURCE = parameters.Source.model_validate({"kind": "shop", "public": True, "users": USERS, "items": ITEMS, "seed": 11})
_NOW = datetime(2100, 1, 1, tzinfo=UTC)
_DELTA = 1e-5
_DRAWS = 20


def audit(run: Run, name: str, progress: Progress = no_progress) -> dict[str, Audit]:
    """Audit the chosen candidate, and the floor, which may go instead."""
    from components.privacy.audit import audit as audit_release
    from components.privacy.canaries import Observed
    from components.privacy.lower_bounds import bounds

    service, params = run.service(name)
    chosen = Evaluation.read(run.evidence(name, "evaluate") / "test.json").chosen
    budget = Budget.read(run.evidence(name, "train") / "budget.json")
    names = list(dict.fromkeys([service.floor.name, chosen]))
    found = {}
    with tempfile.TemporaryDirectory(dir=run.data) as scratch:
        simulated: _Simulated | None = None
        for done, candidate in enumerate(names):
            progress(done, len(names))
            trained = Trained.read(run.evidence(name, "train") / f"{candidate}.json")
            seen = run.evidence(name, "train") / f"{candidate}-canaries.json"
            observed = Observed.read(seen) if seen.exists() else None
            modules = digest.of_modules([__name__, audit_release.__module__, bounds.__module__])
            share = budget.plans[candidate]
            claim = [budget.delta, share.event.model_dump(mode="json")]
            key = digest.of_json([trained.digest, observed and observed.digest, claim, modules])
            if known := run.records().find(Audit, key):
                found[candidate] = known
                continue
            simulated = simulated or _Simulated(run, service, params, Path(scratch))
            settled = run.ledger().settled(trained.key)
            if settled is None:
                raise ContractBroken(
                    f"The ledger holds no release that made {candidate}",
                    value=trained.key[:12],
                    next_step="Train again with this JALI_HOME.",
                )
            mechanism = service.candidates[candidate]
            found[candidate] = audit_release(
                service=name,
                bundle=trained.bundle,
                settled=settled,
                train=partial(simulated.score, mechanism),
                without=partial(simulated.score_of_nobody, mechanism),
                observed=observed,
                claimed=share.event,
                delta=budget.delta,
                draws=1 if settled.intended > 1 else _DRAWS,  # many steps average by themselves, and take their time
            )
            run.records().keep(key, found[candidate])
        progress(len(names), len(names))
    with atomic_path(run.evidence(name, "audit")) as part:
        for candidate, record in found.items():
            record.write(part / f"{candidate}.json")
    return found


class _Simulated:
    """The simulated shop as a service's rows, brought here by the same data rooms as real ones."""

    def __init__(self, run: Run, service: Service, params: Any, scratch: Path) -> None:
        from components.data.activity import extend
        from components.data.collect import collect
        from components.data.prepare import prepare
        from components.data.sources import open_source
        from components.data.split import split

        block, everything = run.params.privacy.block, parameters.Window()
        reader = open_source(_SOURCE, run.settings.home / "wheels")
        collect(reader, _SOURCE, everything, block, run.settings.home, scratch / "raw", now=_NOW)
        events, items = scratch / "raw" / "events.parquet", scratch / "raw" / "items.parquet"
        prepare(events, items, parameters.Prepare(), block, scratch / "prepared")
        extend(scratch / "raw", parameters.Prepare(), block, scratch / "prepared")
        paths = split(scratch / "prepared", parameters.Split(), scratch / "split")
        nobody, public = scratch / "nobody", scratch / "split" / "public"
        nobody.mkdir()
        for table in paths["train"].iterdir():
            pq.write_table(pq.read_table(table).slice(0, 0), nobody / table.name)
        self._service, self._params, self._scratch = service, params, scratch
        self._catalogue = service.catalogue(public, params)
        self._train, self._test, self._nobody = (
            service.rows(path, public, params) for path in (paths["train"], paths["test"], nobody)
        )
        self._floor: Path | None = None
        self._floor = self._fitted(service.floor, self._train, 0.01)

    def score(self, candidate: Candidate, noise_multiplier: float) -> float:
        """Return the mean first metric of a candidate trained on the simulated users at this noise."""
        return self._score(self._fitted(candidate, self._train, noise_multiplier))

    def score_of_nobody(self, candidate: Candidate, noise_multiplier: float) -> float:
        """Return the same of the candidate trained on no rows at all: what comes of the floor and the noise alone."""
        return self._score(self._fitted(candidate, self._nobody, noise_multiplier))

    def _score(self, bundle: Path) -> float:
        return float(self._service.score(bundle, self._test, 0)[:, 0].mean())

    def _fitted(self, candidate: Candidate, rows: Any, noise_multiplier: float) -> Path:
        floor = self._floor if candidate.personal else None
        plan = candidate.plan(mu=1.0, delta=_DELTA, population=USERS // 2, params=self._params, floor=floor)
        out = Path(tempfile.mkdtemp(dir=self._scratch))
        plan = candidate.at_noise(plan, noise_multiplier)
        candidate.fit(rows, plan, self._catalogue, floor=floor, intend=_nothing_to_charge, out=out)
        return out


def _nothing_to_charge(steps: int) -> None:
    """The rows are simulated."""

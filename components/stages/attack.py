"""Attack: can members be told by the served answers of a version, and of the same mechanism without its noise?

For public sources only. What is trained here is attacked and thrown away; nothing of it is released, and nothing is
charged, for the people of a public source are published or simulated.
"""

from __future__ import annotations

import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from components.core import digest
from components.core.errors import ContractBroken, Refused
from components.core.files import atomic_path, write_bytes
from components.core.progress import Progress, no_progress
from components.core.records import SPLITS, Dataset
from components.core.service import Candidate, Exposure, Service
from components.evaluation import attack as attack_room
from components.evaluation.attack import Attack, curve, halves, likelihood_ratios, section
from components.stages.budget import Budget
from components.stages.dataset import dataset_of
from components.stages.rows import private_rows, public_tables
from components.stages.run import Run

if TYPE_CHECKING:
    from components.registry.evidence import VersionEvidence

TARGETS, SHADOWS = 2000, 10
"""What takes about a minute with a one-shot mechanism; more of them make a stronger attack."""
NO_NOISE = 1e-9
"""Noise multiplier of the model without privacy: far below what a number holds."""

_SEED = 20_220_523
"""Who is asked about and who learns from whom; any fixed number."""


@dataclass(frozen=True)
class Subject:
    """A model under attack: what was trained, how its budget was divided, and the bundle that is served."""

    candidate: str
    bundle: Path
    digest: str
    budget: Budget


def subject_of(run: Run, name: str) -> Subject:
    """Return the candidate that the workspace's verdict is on."""
    from components.stages import gate

    verdict = gate.verdict_of(run, name)
    budget = Budget.read(run.evidence(name, "train") / "budget.json")
    return Subject(verdict.candidate, run.models(name) / verdict.candidate, verdict.bundle, budget)


def subject_of_version(run: Run, evidence: VersionEvidence) -> Subject:
    """Return a registered version, from what its home keeps.

    Raises:
        ContractBroken: its bundle, or the record of its budget, is gone.
    """
    from components.privacy.store import Store

    verdict, releases = evidence.verdict, set(evidence.statement.releases.values())
    bundle = Store(run.settings.home / "store").find(verdict.bundle)
    budgets = (Budget.read(path) for path in sorted((run.records().folder / Budget.kind).glob("*.json")))
    budget = next(
        (one for one in budgets if verdict.candidate in one.plans and one.plans[verdict.candidate].release in releases),
        None,
    )
    if bundle is None or budget is None:
        raise ContractBroken(
            f"The home lacks the {'budget' if bundle else 'bundle'} of this version of {verdict.service}",
            value=verdict.bundle[:12],
            next_step="Restore JALI_HOME, or train again.",
        )
    return Subject(verdict.candidate, bundle, verdict.bundle, budget)


def require_public(dataset: Dataset) -> None:
    """Refuse a private source before anything of it is read.

    Raises:
        Refused: its members may not be attacked.
    """
    if not dataset.public:
        raise Refused(
            "Members of a private source are not attacked, for the attack itself would show who they are",
            value=dataset.source,
            limit="sources with public: true",
            next_step="Attack a version that was trained on a public source: the mechanisms are the same.",
        )


def attack(
    run: Run,
    name: str,
    subject: Subject,
    *,
    targets: int = TARGETS,
    shadows: int = SHADOWS,
    progress: Progress = no_progress,
) -> Attack:
    """Attack `subject` and its twin without noise, write evidence, plot and report, and return what was found.

    Members are users of the train split, others are those of the validation and test splits; targets are drawn from
    each at random. A shadow model learns from the train users who are no targets, and from half of the targets.

    Args:
        run: the workspace that holds the subject's dataset.
        name: the service.
        subject: the model.
        targets: users asked about, half of each kind; fewer where there are not so many.
        shadows: models of each kind, an even number.
        progress: called with the models trained and their number.

    Raises:
        Refused: the source is private, or the service has no exposure.
        ContractBroken: the bundle is not the one that was judged, or there is nobody to ask about.
    """
    service, params = run.service(name)
    dataset = dataset_of(run)
    require_public(dataset)
    if service.exposure is None:
        raise Refused(
            f"{name} does not say yet how its answers are attacked", next_step="Give its SERVICE an exposure."
        )
    if (found := digest.of_path(subject.bundle)) != subject.digest:
        raise ContractBroken(
            f"The bundle {subject.bundle} is not the one that was judged", value=found[:12], limit=subject.digest[:12]
        )
    modules = {module for one in service.candidates.values() for module in one.modules}
    modules |= {__name__, attack_room.__name__, service.exposure.signals.__module__}
    key = digest.of_json([subject.digest, dataset.digest, targets, shadows, digest.of_modules(modules)])
    known = run.records().find(Attack, key)
    if known is None:
        rows = {split: private.open_public() for split, private in private_rows(run, name).items()}
        with tempfile.TemporaryDirectory(dir=run.data) as scratch:
            arena = _Arena(service, params, service.exposure, subject, rows, public_tables(run))
            known = arena.fight(dataset, targets, shadows, Path(scratch), progress)
        run.records().keep(key, known)
    _write(run, name, known)
    return known


def folder_of(run: Run, name: str) -> Path:
    """Return where an attack's record, plot and report lie."""
    return run.evidence(name, "attack")


class _Arena:
    """One attack's users and mechanisms."""

    def __init__(
        self,
        service: Service,
        params: Any,
        exposure: Exposure,
        subject: Subject,
        rows: dict[str, Any],
        public: Path,
    ) -> None:
        self._service, self._exposure, self._subject = service, exposure, subject
        self._train = rows[SPLITS[0]]
        self._others = exposure.join([rows[split] for split in SPLITS[1:]])
        self._catalogue = service.catalogue(public, params)
        self._mechanisms = [service.floor]
        if subject.candidate != service.floor.name:
            self._mechanisms.append(service.candidates[subject.candidate])
        self._plans = [_plan(mechanism, subject.budget, params) for mechanism in self._mechanisms]

    def fight(self, dataset: Dataset, targets: int, shadows: int, scratch: Path, progress: Progress) -> Attack:
        """Train the twin and the shadows, ask them all, and judge."""
        chance, exposure = np.random.default_rng(_SEED), self._exposure
        able = [np.flatnonzero(exposure.eligible(rows)) for rows in (self._train, self._others)]
        half = min(targets // 2, *map(len, able))
        members, others = (np.sort(chance.choice(one, half, replace=False)) for one in able)
        asked = exposure.join([exposure.pick(self._train, members), exposure.pick(self._others, others)])
        everyone = np.arange(len(exposure.eligible(self._train)))
        rest = exposure.pick(self._train, np.setdiff1d(everyone, members))
        inside, total, done = halves(2 * half, shadows, chance), 2 * shadows + 1, itertools.count(1)
        progress(0, total)

        def answers(rows: Any, quiet: bool) -> np.ndarray:
            with tempfile.TemporaryDirectory(dir=scratch) as folder:
                said = exposure.signals(self._fitted(rows, quiet, Path(folder)), asked)
            progress(next(done), total)
            return said

        curves = []
        for quiet in (False, True):
            observed = answers(self._train, quiet) if quiet else exposure.signals(self._subject.bundle, asked)
            with_half = (exposure.join([rest, exposure.pick(asked, np.flatnonzero(one))]) for one in inside)
            said = np.array([answers(rows, quiet) for rows in with_half])
            ratios = likelihood_ratios(observed, said, inside)
            curves.append(curve(ratios[:half], ratios[half:], self._subject.budget.delta))
        return Attack(
            service=self._service.name,
            candidate=self._subject.candidate,
            bundle=self._subject.digest,
            dataset=dataset.digest,
            epsilon=self._subject.budget.epsilon,
            delta=self._subject.budget.delta,
            targets=2 * half,
            shadows=shadows,
            private=curves[0],
            exposed=curves[1],
        )

    def _fitted(self, rows: Any, quiet: bool, folder: Path) -> Path:
        """Train the floor, and on it the subject's candidate, as they were trained, or without their noise."""
        floor = None
        for mechanism, declared in zip(self._mechanisms, self._plans, strict=True):
            plan = mechanism.at_noise(declared, NO_NOISE) if quiet else declared
            out = folder / mechanism.name
            mechanism.fit(rows, plan, self._catalogue, floor=floor, intend=_nothing_to_charge, out=out)
            floor = out
        assert floor is not None, "a service has a floor"
        return floor


def _plan(mechanism: Candidate, budget: Budget, params: Any) -> Any:
    """Return the plan that a release ran under, from the record of its parameters."""
    kind = type(mechanism.plan(mu=1.0, delta=budget.delta, population=1000, params=params, floor=None))
    return kind.model_validate(budget.plans[mechanism.name].parameters)


def _write(run: Run, name: str, found: Attack) -> None:
    from components.evaluation.attack_plot import plot_attack

    with atomic_path(folder_of(run, name)) as part:
        found.write(part / "attack.json")
        plot_attack(found, part)
        report = section(found) + "\n![ROC curves](attack.png)\n"
        write_bytes(part / "report.md", report.encode())


def _nothing_to_charge(steps: int) -> None:
    """The source is public."""

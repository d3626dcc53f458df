"""The replay test: one mechanism on neighbouring rows with the same randomness, declared against measured.

A mechanism is recorded on some rows and run again with one more user in them. It draws the same noise, so the distance
between two answers is that between the sums below them: the sensitivity, measured. Each answer is then replaced by
the recorded one, as in the analysis of adaptive composition; so whatever else differs in the end (number of answers,
bundle, event) was computed from people's rows and not from an answer, and has no ε. This is Re:cord-play (Cebere, Erb,
Desfontaines, Bellet and Fitzsimons 2026). Unlike an attack it needs no repetition to find a wrong sensitivity; unlike a
proof it finds only what the given neighbours show.

Beside it the noise itself is measured (`draws`): two runs on the same rows differ by noise alone.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from components.core import digest
from components.core.errors import ContractBroken, Refused
from components.privacy.accounts import steps_of, with_steps
from components.privacy.draws import Fault, Vector, noise_faults
from components.privacy.plan import Planned, PrivacyPlan
from components.privacy.release import Event, SampledGaussian, noised
from components.privacy.trace import Answer, Tape, Trace, traced

Mechanism = Callable[[Any, Callable[[int], None], Path], Event]
"""`(rows, intend, out) -> event`: what `ledger.once` runs."""

ROUNDING = 1e-3
"""How far a measured sensitivity may exceed the declared one: sums are in single precision."""


@dataclass(frozen=True)
class Replayed:
    """What the replay test found.

    Attributes:
        moved: by neighbour, the largest distance between two answers' sums in units of what was declared: 1 is tight.
        faults: everything that was not as declared; none for a mechanism that keeps its promise on these rows.
    """

    moved: dict[str, float]
    faults: tuple[Fault, ...]

    def require(self) -> None:
        """Refuse a mechanism with faults.

        Raises:
            ContractBroken: naming all of them.
        """
        if self.faults:
            raise ContractBroken(
                "The mechanism does not do what its plan declares",
                value="; ".join(map(str, self.faults)),
                next_step="Do not release: find where the code and the plan differ.",
            )


@dataclass(frozen=True)
class _Run:
    trace: Trace
    event: Event
    left: str
    """Digest of all that it wrote."""


def replay(
    mechanism: Mechanism,
    plan: Planned,
    rows: Any,
    *,
    neighbours: Mapping[str, Any],
    nobody: Any,
    behind: int = 0,
    seed: int = 0,
) -> Replayed:
    """Run `mechanism` on `rows` and its neighbours and return what it really does.

    Args:
        mechanism: it takes its plan from elsewhere; its rows are all that may change.
        plan: what it declares: `event`, and `sensitivity` where it has one. A training by DP-SGD holds a `PrivacyPlan`.
        rows: some users' rows, simulated or public.
        neighbours: by name, `rows` with one user appended; in each step of a training that user is sampled.
        nobody: the same kind of rows without any.
        behind: rows that the mechanism itself puts below the users' (canaries), as many in each run.
        seed: of the tape; another one tries other noise.

    Raises:
        ContractBroken: no neighbour moved any answer, so the test has no power.
    """
    private = _privacy_plan(plan)
    normaliser = private.expected_batch_size if private else None

    def run(on: Any, *, tape: bool = True, follow: Trace | None = None) -> _Run:
        with (
            tempfile.TemporaryDirectory() as scratch,
            traced(normaliser=normaliser, tape=Tape(seed) if tape else None, follow=follow, behind=behind) as trace,
        ):
            out = Path(scratch) / "out"
            out.mkdir()
            event = mechanism(on, trace.intend, out)
            return _Run(trace, event, digest.of_path(out))

    recorded = run(rows)
    faults = _answer_faults(recorded, plan.event)
    sigmas = [_sigma(answer, private) for answer in recorded.trace.answers]
    moved = {}
    for name, rows_of_neighbour in {**neighbours, "nobody": nobody}.items():
        try:
            again = run(rows_of_neighbour, follow=recorded.trace)
        except Refused as refusal:
            faults.append(Fault("leak", f"with {name} it fails ({refusal.what})", "no failure"))
            continue
        faults += _leaks(recorded, again, name)
        if name in neighbours:
            distances = _distances(recorded.trace, again.trace)
            moved[name] = _relative(distances, sigmas, plan.event)
            if not moved[name] <= 1 + ROUNDING:
                faults.append(Fault("sensitivity", f"{name} moves the sum by {moved[name]:.4g}", "1"))
    for on in (rows, nobody):
        one, two = (run(on, tape=False, follow=recorded.trace).trace for _ in range(2))
        noise = _noise(one, two, sigmas)
        faults += noise_faults([drawn for drawn, _ in noise], [sigma for _, sigma in noise])
    if recorded.trace.answers and not any(distance > 0 for distance in moved.values()):
        raise ContractBroken(
            "No neighbour moves any answer, so the replay test has no power",
            next_step="Replay on rows of which the mechanism learns something.",
        )
    return Replayed(moved, tuple(dict.fromkeys(faults)))


def _answer_faults(run: _Run, event: Event) -> list[Fault]:
    """Compare the answers, their intents and their samples with what is charged."""
    answers, samples, declared = run.trace.answers, run.trace.samples, steps_of(event)
    found = []
    if len(answers) != declared:
        found.append(Fault("answers", f"{len(answers)} noised answers", f"{declared}"))
    if with_steps(run.event, declared) != event or steps_of(run.event) < len(answers):
        found.append(Fault("answers", f"said {run.event}", f"{event}, {len(answers)} answers"))
    if late := sum(answer.intended < place for place, answer in enumerate(answers, start=1)):
        found.append(Fault("intent", f"{late} answers were drawn before they were intended", "0"))
    if isinstance(event, SampledGaussian):
        rates = {sample.rate for sample in samples}
        if len(samples) < len(answers) or rates - {event.sample_rate}:
            told = ", ".join(f"{rate:.4g}" for rate in sorted(rates))
            found.append(
                Fault("sampling", f"{len(samples)} Poisson samples at {told or 'no rate'}", f"{event.sample_rate:.4g}")
            )
    return found


def _leaks(recorded: _Run, again: _Run, name: str) -> list[Fault]:
    """Compare what must not differ once the answers are the same."""
    shapes = [[answer.value.shape for answer in run.trace.answers] for run in (recorded, again)]
    if shapes[0] != shapes[1]:
        return [Fault("leak", f"with {name} {len(shapes[1])} answers or other shapes", f"{len(shapes[0])} answers")]
    found = []
    if recorded.left != again.left:
        found.append(Fault("leak", f"with {name} the same answers lead to another bundle", "the same bundle"))
    if recorded.event != again.event:
        found.append(Fault("leak", f"with {name} the event is {again.event}", f"{recorded.event}"))
    return found


def _distances(one: Trace, two: Trace) -> list[float]:
    pairs = zip(one.answers, two.answers, strict=False)
    return [_distance(a.value, b.value) for a, b in pairs]


def _distance(a: Vector, b: Vector) -> float:
    if a.shape != b.shape:
        return math.inf
    with np.errstate(invalid="ignore", over="ignore"):
        distance = float(np.linalg.norm(b - a))
    return distance if math.isfinite(distance) else math.inf


def _relative(distances: list[float], sigmas: list[float], event: Event) -> float:
    """Return the loss of the measured distances as a share of the declared one.

    Each answer of a training is held to the same bound, for there a user enters by chance. One-shot answers are one
    Gaussian mechanism together, whose μ² is the sum over answers of (distance ÷ σ)².
    """
    loss = [distance / sigma for distance, sigma in zip(distances, sigmas, strict=False)]
    if isinstance(event, SampledGaussian):
        return max(loss, default=0.0) * event.noise_multiplier
    return math.hypot(*loss) * noised(event).noise_multiplier / math.sqrt(max(event.count, 1))


def _noise(one: Trace, two: Trace, sigmas: list[float]) -> list[tuple[Vector, float]]:
    """Return the difference of two runs on the same rows, which is noise of σ once it is divided by √2."""
    pairs = zip(one.answers, two.answers, sigmas, strict=False)
    return [(np.ravel(a.value - b.value) / math.sqrt(2), s) for a, b, s in pairs if a.value.shape == b.value.shape]


def _sigma(answer: Answer, private: PrivacyPlan | None) -> float:
    if answer.sigma is not None:
        return answer.sigma
    assert private is not None, "only a training's answers come without their σ"
    return private.noise_multiplier * private.sensitivity


def _privacy_plan(plan: object) -> PrivacyPlan | None:
    if isinstance(plan, PrivacyPlan):
        return plan
    return next((value for value in vars(plan).values() if isinstance(value, PrivacyPlan)), None)

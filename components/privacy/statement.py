"""What is promised about one version, and what is not, in the words of NIST SP 800-226."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from components.core.errors import Refused
from components.core.params import Cap
from components.core.records import SPLITS, Audit, AuditFigures, Charge, PrivacyStatement, SplitCost
from components.privacy import accounting, adaptive
from components.privacy.release import Event, Gaussian, Release, SampledGaussian, noised

Purpose = Literal["count", "floor", "candidate", "choosing", "judging"]

UNIT = "one user: everything that one user did within the blocks, up to the service's limits for a user"
NEIGHBOURS = "datasets that differ by one user, added or removed"

NOT_COVERED = (
    "The trusted zone: whoever operates the collection, the tables, their backups or the training machine sees "
    "people's data as it is; access control and the operators protect it, not differential privacy.",
    "The verdicts of the data checks: that a dataset passed, was refused, or how often it was made is not noised.",
    "Floating-point noise (Mironov 2012), and on a GPU a generator that is seeded by the operating system but is not "
    "cryptographic: an attacker who sees every bit of the released numbers may learn more than ε says.",
    "Time, memory and other side channels: how long a training took or whether it failed was not noised.",
    "The catalogue: items, their titles, categories, brands and prices are public by declaration.",
    "What one user is shown: a user's own history shapes that user's own answers (joint differential privacy); "
    "who sees a user's screen sees that.",
    "Groups: a household or firm of k users is protected less than a user: its μ (Gaussian differential privacy) is k "
    "times as large, and its ε at the same δ more than k times: where ε = 3 for one, about 7 for two and 21 for five.",
)

JOINT = (
    "A user's own history shapes that user's own answers and nobody else's. About every other user, the answers that "
    "one user is shown reveal no more than the released model does: (ε, δ) holds jointly, also where all the others "
    "compare what they were shown. It holds while no other user's un-noised behaviour affects an answer; a history is "
    "given with its request, and serving keeps none."
)

TRUSTED_ZONE = (
    "Raw, checked and prepared tables, quarantine, Data Docs, training curves, checkpoints and plain digests lie in "
    "the trusted zone: whoever may read it sees people's data as it is. Access control and the operators protect it, "
    "not differential privacy. What leaves it is a release that the ledger has charged, or computed from such."
)


@dataclass(frozen=True)
class Charged:
    """One release that a version is made of.

    Attributes:
        purpose: what it was for.
        release: what the ledger charged.
        delta: the δ at which the users of its split are told an ε.
        parameters: everything else that shaped the answer.
    """

    purpose: Purpose
    release: Release
    delta: float
    parameters: Mapping[str, Any] = field(default_factory=dict)


def statement(
    *,
    mechanism: str,
    charged: Sequence[Charged],
    blocks: Sequence[str],
    ledger: str,
    budgets: Mapping[str, float] | None = None,
    cap: Cap | None = None,
    lifetime_cap: Cap | None = None,
    audit: Audit | None = None,
    searches: Sequence[Event] = (),
) -> PrivacyStatement:
    """Return the privacy statement of a version, its figures computed here from what was released.

    ε and δ are those of a train user, who is in the model; the users who only judged it have their own, in `splits`.

    Args:
        mechanism: what made the version's bundle.
        charged: every release that the version is made of, losing candidates, counts and evaluations included. An
            attempt that was lost left nothing behind: it is charged to the accounts and is no part of a version.
        blocks: calendar blocks whose rows were read.
        ledger: genesis id of the ledger that was charged.
        budgets: by split, the ε that was fixed before its count, within which everything was kept
            (`adaptive`, the theorem): what is stated. Without it the releases are taken for a schedule that was fixed
            beforehand, and stated by PLD.
        cap: the cap of one block's account.
        lifetime_cap: the cap over a user's blocks, where the ledger holds one.
        audit: what tried to refute it.
        searches: searches for parameters that read the same train users; they are charged, and no part of this ε.

    Raises:
        Refused: the accountants do not agree on a sampled event, or the releases of a split cost more than its budget.
    """
    training = [one for one in charged if one.release.split == "train"]
    events, delta = [one.release.event for one in training], max(one.delta for one in training)
    splits = _split_costs(charged, budgets or {})
    accountants = {"pld": accounting.epsilon_of(events, delta), "rdp": accounting.rdp_epsilon_of(events, delta)}
    if budgets:
        accountants = {"gdp": _within(budgets["train"], training), **accountants}
    sampled = [
        event for event in events if isinstance(event, SampledGaussian) and event.steps and event.sample_rate < 1
    ]
    for number, event in enumerate(sampled, start=1):
        suffix = "" if number == 1 else f"_{number}"
        for name, figure in accounting.cross_check(event, delta).items():
            accountants[f"{name}_of_sampled{suffix}"] = figure
    own = [one.release.event for one in training if one.release.mechanism == mechanism]
    return PrivacyStatement(
        unit=UNIT,
        neighbours=NEIGHBOURS,
        epsilon=splits[0].epsilon,
        delta=delta,
        blocks=tuple(blocks),
        lifetime=_lifetime(lifetime_cap),
        mechanism=f"{mechanism}: {'; '.join(map(_describe, own or events))}",
        releases={one.release.mechanism: one.release.digest for one in training},
        accountants=accountants,
        audit=_audited(audit),
        not_covered=(*NOT_COVERED, *_searched(searches, delta)),
        ledger=ledger,
        charged=tuple(map(_charge, charged)),
        splits=tuple(splits),
        cap=cap,
        lifetime_cap=lifetime_cap,
        audited=_figures(audit),
        joint=JOINT,
        trusted_zone=TRUSTED_ZONE,
    )


def candidate_of(stated: PrivacyStatement) -> str:
    """Return the name of the mechanism that made the version's bundle."""
    return stated.mechanism.partition(":")[0]


def _charge(one: Charged) -> Charge:
    event = noised(one.release.event)
    sampled = isinstance(event, SampledGaussian)
    return Charge(
        mechanism=one.release.mechanism,
        purpose=one.purpose,
        split=one.release.split,
        release=one.release.digest,
        sensitivity=one.release.sensitivity,
        noise_multiplier=event.noise_multiplier,
        draws=event.steps if isinstance(event, SampledGaussian) else event.count,
        sample_rate=event.sample_rate if isinstance(event, SampledGaussian) else None,
        epsilon=accounting.epsilon_of([event], one.delta, grid=accounting.COARSE if sampled else accounting.FINE),
        delta=one.delta,
        parameters=dict(one.parameters),
    )


def _split_costs(charged: Sequence[Charged], budgets: Mapping[str, float]) -> list[SplitCost]:
    found = []
    for split in SPLITS:
        mine = [one for one in charged if one.release.split == split]
        if mine:
            delta = max(one.delta for one in mine)
            if split in budgets:
                _within(budgets[split], mine)
            epsilon = budgets.get(split) or accounting.epsilon_of([one.release.event for one in mine], delta)
            found.append(SplitCost(split=split, epsilon=epsilon, delta=delta))
    return found


def _within(budget: float, releases: Sequence[Charged]) -> float:
    """Return the ε of one split's `releases`, at the δ that they were kept within; it may not be above `budget`."""
    delta = max(one.delta for one in releases)
    counts = [noised(one.release.event).noise_multiplier for one in releases if one.purpose == "count"]
    kept = adaptive.proved_delta(delta, max(counts)) if counts else delta
    composed = adaptive.epsilon_of([one.release.event for one in releases], kept)
    if not composed <= budget * (1 + 1e-7):
        raise Refused(
            f"The releases from {releases[0].release.split} users cost more than was fixed beforehand",
            value=f"ε = {composed:.6g} at δ = {kept:.3g}",
            limit=f"ε = {budget:g}",
            next_step="Train again: what was released was planned by another version, or for other parameters.",
        )
    return min(composed, budget)


def _describe(event: Event) -> str:
    event = noised(event)
    if isinstance(event, Gaussian):
        times = f"{event.count} × " if event.count != 1 else ""
        return f"{times}Gaussian, σ = {event.noise_multiplier:.3g} sensitivities"
    return (
        f"{event.steps} steps of DP-SGD, Poisson sample of {event.sample_rate:.3g} of the users, "
        f"σ = {event.noise_multiplier:.3g} clipping norms"
    )


def _searched(searches: Sequence[Event], delta: float) -> tuple[str, ...]:
    """Return what is said of searches: their ε by conversion from RDP, since there is no tighter figure of them."""
    if not searches:
        return ()
    return (
        f"Searches for parameters: {len(searches)} on these users, whose values this version may have, are charged to "
        f"the same accounts (ε = {accounting.epsilon_of(searches, delta):.3g} at δ = {delta:.2g}, by RDP alone) and "
        "are not in this ε; the accounts' cap holds all together.",
    )


def _lifetime(cap: Cap | None) -> str:
    if cap is None:
        return "unbounded: a user who comes back in further blocks is charged there anew, and no cap is set over blocks"
    return f"at most (ε = {cap.epsilon:g}, δ = {cap.delta:g}) over all blocks and all releases, held by the ledger"


def _figures(audit: Audit | None) -> AuditFigures | None:
    if audit is None:
        return None
    return AuditFigures.model_validate(audit.model_dump(include=set(AuditFigures.model_fields)))


def _audited(audit: Audit | None) -> str:
    if audit is None:
        return "not audited"
    noise = "destroyed" if audit.destroyed_by_noise else "NOT destroyed"
    steps = (
        f"; {audit.steps_in_ledger} steps in the ledger, {audit.steps_in_optimizer} in the optimizer"
        if audit.steps_in_ledger is not None
        else ""
    )
    told = f"{noise} by noise at σ = {audit.details.get('sigma_loud', 1000.0):g} on simulated rows{steps}"
    if audit.epsilon_lower_bound is None or audit.epsilon_claimed is None:
        return told
    refuted = "" if audit.epsilon_lower_bound <= audit.epsilon_claimed else ": REFUTED"
    ceiling = (
        f", and would prove {audit.epsilon_ceiling:.2f} were the claim tight"
        if audit.epsilon_ceiling is not None
        else ""
    )
    return (
        f"{told}; {audit.canaries} canaries prove ε ≥ {audit.epsilon_lower_bound:.2f} of the "
        f"{audit.epsilon_claimed:.2f} claimed for this release{ceiling}{refuted}"
    )

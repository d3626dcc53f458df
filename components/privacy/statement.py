"""What is promised about one version, and what is not, in the words of NIST SP 800-226."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.core.params import Cap
from components.core.records import Audit, PrivacyStatement
from components.privacy import accounting
from components.privacy.release import Event, Gaussian, SampledGaussian

NOT_COVERED = (
    "The trusted zone: whoever operates the collection, the tables, their backups or the training machine sees "
    "people's data as it is; access control and the operators protect it, not differential privacy.",
    "The verdicts of the data checks: that a dataset passed, was refused, or how often it was made is not noised.",
    "Floating-point noise (Mironov 2012) and generators that are seeded by the operating system but are not "
    "cryptographic: an attacker who sees every bit of the released numbers may learn more than ε says.",
    "Time, memory and other side channels: how long a training took or whether it failed was not noised.",
    "The catalogue: items, their titles, categories, brands and prices are public by declaration.",
    "What one user is shown: a user's own history shapes that user's own answers (joint differential privacy); "
    "who sees a user's screen sees that.",
    "Groups: a household or firm of k users is protected k times less.",
)


def statement(
    *,
    mechanism: str,
    releases: Mapping[str, str],
    events: Sequence[Event],
    delta: float,
    blocks: Sequence[str],
    ledger: str,
    lifetime_cap: Cap | None = None,
    audit: Audit | None = None,
) -> PrivacyStatement:
    """Return the privacy statement of a version, its figures computed here from what was released.

    Args:
        mechanism: what made the version's bundle.
        releases: digest of each `Release` of the training by its mechanism, losing candidates and counts included.
        events: what each of them cost. An attempt that was lost left nothing behind: it is charged to the accounts
            and is no part of a version.
        delta: the δ at which ε is stated.
        blocks: calendar blocks whose rows were read.
        ledger: genesis id of the ledger that was charged.
        lifetime_cap: the cap over a user's blocks, where the ledger holds one.
        audit: what tried to refute it.

    Raises:
        Refused: the accountants do not agree on a sampled event.
    """
    epsilon = accounting.epsilon_of(events, delta)
    sampled = [
        event for event in events if isinstance(event, SampledGaussian) and event.steps and event.sample_rate < 1
    ]
    accountants = {"pld": epsilon, "rdp": accounting.rdp_epsilon_of(events, delta)}
    for number, event in enumerate(sampled, start=1):
        suffix = "" if number == 1 else f"_{number}"
        for name, figure in accounting.cross_check(event, delta).items():
            accountants[f"{name}_of_sampled{suffix}"] = figure
    return PrivacyStatement(
        unit="one user: everything that one user did within the blocks, up to the limit of items a user",
        neighbours="datasets that differ by one user, added or removed",
        epsilon=epsilon,
        delta=delta,
        blocks=tuple(blocks),
        lifetime=_lifetime(lifetime_cap),
        mechanism=f"{mechanism}: {'; '.join(map(_describe, events))}",
        releases=dict(releases),
        accountants=accountants,
        audit=_audited(audit),
        not_covered=NOT_COVERED,
        ledger=ledger,
    )


def as_markdown(stated: PrivacyStatement) -> str:
    """Return the statement as a page for people."""
    accountants = "\n".join(f"| {name} | {figure:.4f} |" for name, figure in stated.accountants.items())
    releases = "\n".join(f"| {name} | `{digest[:12]}` |" for name, digest in stated.releases.items())
    uncovered = "\n".join(f"- {sentence}" for sentence in stated.not_covered)
    return f"""# Privacy statement

**(ε = {stated.epsilon:.3g}, δ = {stated.delta:.2g})-differential privacy** for {stated.unit}.

| | |
| --- | --- |
| Neighbours | {stated.neighbours} |
| Blocks | {", ".join(stated.blocks)} |
| Over a user's lifetime | {stated.lifetime} |
| Mechanism | {stated.mechanism} |
| Audit | {stated.audit} |
| Ledger | `{stated.ledger}` |

| accountant | ε at δ = {stated.delta:.2g} |
| --- | --- |
{accountants}

| release | digest |
| --- | --- |
{releases}

## What is not covered

{uncovered}
"""


def _describe(event: Event) -> str:
    if isinstance(event, Gaussian):
        times = f"{event.count} × " if event.count != 1 else ""
        return f"{times}Gaussian, σ = {event.noise_multiplier:.3g} sensitivities"
    return (
        f"{event.steps} steps of DP-SGD, Poisson sample of {event.sample_rate:.3g} of the users, "
        f"σ = {event.noise_multiplier:.3g} clipping norms"
    )


def _lifetime(cap: Cap | None) -> str:
    if cap is None:
        return "unbounded: a user who comes back in further blocks is charged there anew, and no cap is set over blocks"
    return f"at most (ε = {cap.epsilon:g}, δ = {cap.delta:g}) over all blocks and all releases, held by the ledger"


def _audited(audit: Audit | None) -> str:
    if audit is None:
        return "not audited"
    noise = "destroyed" if audit.destroyed_by_noise else "NOT destroyed"
    steps = (
        f"; {audit.steps_in_ledger} steps in the ledger, {audit.steps_in_optimizer} in the optimizer"
        if audit.steps_in_ledger is not None
        else ""
    )
    return f"{noise} by noise at σ = {audit.details.get('sigma_loud', 1000.0):g} on simulated rows{steps}"

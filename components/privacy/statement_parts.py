"""The parts of a privacy statement in plain sentences, each a function of the document."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from components.core.records import SPLITS, Charge, PrivacyStatement
from components.privacy.statement_document import LedgerState, VersionStatement
from components.privacy.statement_figures import at_most, flat, small, surest

_PURPOSES = {
    "count": "count of the users, with noise",
    "floor": "the floor: what is popular, the same for everyone",
    "candidate": "a candidate for the model",
    "choosing": "scores of all candidates, to choose one",
    "judging": "scores of the chosen one, to judge it",
}
_USERS = {"train": "those it learnt from", "validation": "those who chose it", "test": "those who judged it"}
_ACCOUNTANTS = {
    "gdp": "Gaussian differential privacy (Smith & Thakurta 2022), which holds though noise and δ follow the count: at "
    "most what is stated",
    "pld": "privacy loss distribution (Doroshenko et al. 2022): of a schedule that is fixed beforehand",
    "rdp": "Rényi divergence (Mironov 2017): looser, and always above it",
    "pld_of_sampled": "the sampled training alone, by privacy loss distribution",
    "prv_of_sampled": "the sampled training alone, by Opacus' privacy random variables, which share no code with it",
}


@dataclass(frozen=True)
class Part:
    """One part of the statement: sentences, and below them points or a table, or neither."""

    title: str
    sentences: tuple[str, ...] = ()
    points: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


def promise(stated: PrivacyStatement) -> Part:
    """Return what ε and δ promise, in numbers that can be pictured."""
    factor = math.exp(stated.epsilon)
    return Part(
        "The promise",
        (
            "Whoever sees this version, the figures about it and every answer it gives learns from them nearly the "
            "same about any one user as if that user had done nothing in its blocks of time. Other versions and other "
            "blocks are not in this figure: see the budget below.",
            f"“Nearly” is ε = {at_most(stated.epsilon)} and δ = {small(stated.delta)}: whatever anyone may come to "
            f"conclude about a user, its probability is at most {at_most(factor)} times what it would be had the user "
            f"done nothing, plus δ, one in {1 / stated.delta:,.0f}; and the other way round.",
            "So who held a suspicion for as likely as not may hold it with up to "
            f"{math.ceil(100 * surest(stated.epsilon))}% afterwards, and becomes surer than that with a probability of "
            f"at most 2δ, one in {0.5 / stated.delta:,.0f}.",
            f"{_grade(stated.epsilon)} (the tiers are those of Ponomareva et al. 2023, How to DP-fy ML).",
        ),
    )


def protected(document: VersionStatement) -> Part:
    """Return whose data are protected, as the guarantee counts them."""
    stated, source = document.privacy, document.source
    public = " Its rows are simulated or published, and nobody's secret." if document.public else ""
    return Part(
        "Who is protected",
        (f"The data are {source}.{public}",) if source else (),
        header=("", ""),
        rows=(
            ("Unit of protection", stated.unit),
            ("Neighbours", stated.neighbours),
            ("Blocks", ", ".join(stated.blocks) + " (calendar periods, by the time of the event, UTC)"),
            ("ε and δ", f"{at_most(stated.epsilon)} and {small(stated.delta)}"),
        ),
    )


def charged(stated: PrivacyStatement) -> Part:
    """Return every release of the version, and what they cost each group of users together."""
    costs = [f"{at_most(cost.epsilon)} at δ = {small(cost.delta)} for {_USERS[cost.split]}" for cost in stated.splits]
    if not stated.charged:
        return Part(
            "Everything that was charged",
            ("This version is older than the list of its releases; their digests are:",),
            header=("release", "digest"),
            rows=tuple((name, digest[:16]) for name, digest in stated.releases.items()),
        )
    return Part(
        "Everything that was charged",
        (
            "Each line is a release: a value that was computed from people's rows and left with noise. Candidates that "
            "lost, counts and scores are charged like the model.",
            "The last column is of that release alone, and such figures do not add up: together they cost a user "
            f"ε = {'; ε = '.join(costs)}. Nobody is in two of these groups.",
        ),
        header=("release", "for", "users", "noise σ ÷ sensitivity", "draws", "sensitivity", "ε alone"),
        rows=tuple(map(_release, stated.charged)),
    )


def _release(one: Charge) -> tuple[str, ...]:
    draws = f"{one.draws}" + (f", each on {one.sample_rate:.2%} of the users by chance" if one.sample_rate else "")
    noise, reach = f"{one.noise_multiplier:.4g}", f"{one.sensitivity:.3g}"
    users = f"{one.split}: {_USERS[one.split]}"
    return one.mechanism, _PURPOSES[one.purpose], users, noise, draws, reach, f"{one.epsilon:.3g}"


def parameters(document: VersionStatement) -> Part:
    """Return what made this model, and every parameter of it."""
    stated = document.privacy
    own = next((one.parameters for one in stated.charged if one.mechanism == document.candidate), {})
    return Part(
        "The mechanism of this model",
        (f"{stated.mechanism}.",)
        + (("Everything else that shaped it is a parameter, fixed before the rows were opened:",) if own else ()),
        header=("parameter", "value"),
        rows=tuple(flat(own).items()),
    )


def accounted(stated: PrivacyStatement) -> Part:
    """Return both accountants' figures."""
    sampled = any(name.startswith("prv") for name in stated.accountants)
    second = (
        "Had Opacus' accountant and ours differed by more than 1% and more than its error, nothing would be stated."
        if sampled
        else "Nothing was sampled, so Opacus' accountant has no figure."
    )
    return Part(
        "Two accountants",
        (
            "The same releases, composed by methods of ours, and what was sampled by Opacus' too, at "
            f"δ = {small(stated.delta)} unless said otherwise. {_what_is_stated(stated)}{second}",
        ),
        header=("ε", "by"),
        rows=tuple((f"{stated.accountants[name]:.4f}", _accountant(name)) for name in _in_order(stated.accountants)),
    )


def _what_is_stated(stated: PrivacyStatement) -> str:
    if "gdp" not in stated.accountants:
        return ""
    return (
        f"What is stated, ε = {stated.epsilon:g}, was fixed before anyone was counted. Noise and δ follow the count, "
        "so everything was kept within it at a δ a little below the stated one, where the first figure is taken. "
    )


def _in_order(accountants: Mapping[str, float]) -> list[str]:
    known = list(_ACCOUNTANTS)
    return sorted(accountants, key=lambda name: (known.index(name) if name in known else len(known), name))


def _accountant(name: str) -> str:
    base, _, number = name.partition("_of_sampled")
    known = _ACCOUNTANTS.get(f"{base}_of_sampled" if "_of_sampled" in name else name, name)
    return known + (f" (release {number.strip('_')})" if number else "")


def over_time(stated: PrivacyStatement, ledger: LedgerState | None) -> Part:
    """Return the caps, and, where the ledger is at hand, what the blocks have spent by now."""
    cap = stated.cap
    held = (
        f"All releases of all services together may cost a user at most ε = {cap.epsilon:g} at δ = {small(cap.delta)} "
        "in one block; the ledger refuses what does not fit, before anything is read."
        if cap
        else "The ledger caps what all releases of all services may cost a user in one block."
    )
    points = [held, f"A user's lifetime, all blocks together, is {stated.lifetime}."]
    if ledger is None:
        points.append("The ledger is not at hand here, so what these blocks have spent by now is not shown.")
        return Part("Over time", points=tuple(points))
    lives = sorted(ledger.lifetimes, key=lambda one: SPLITS.index(one.split))
    points += [_lived(one.split, one.spent + one.held, one.delta) for one in lives]
    lost = ledger.attempts_lost
    if lost:
        points.append(f"{lost} attempts at releases from these blocks were cut off, and were charged all the same.")
    return Part(
        "Over time",
        points=(*points, f"So stood the accounts of this version's blocks on {ledger.read_at:%Y-%m-%d %H:%M} UTC:"),
        header=("block", "users", "cap ε", "spent ε", "held ε", "left ε", "used"),
        rows=tuple(
            (
                account.block,
                account.split,
                f"{account.cap.epsilon:g}",
                *(at_most(figure) for figure in (account.spent, account.held)),
                f"{account.left:.4g}",
                f"{account.used:.0%}",
            )
            for account in sorted(ledger.accounts, key=lambda one: (SPLITS.index(one.split), one.block))
        ),
    )


def _lived(split: str, epsilon: float, delta: float) -> str:
    return (
        f"A {split} user who was there in every block has spent ε = {at_most(epsilon)} at δ = {small(delta)} until now."
    )


def audited(stated: PrivacyStatement) -> Part:
    """Return what tried to refute the claim: the bound, and how far the audit could see."""
    found = stated.audited
    if found is None:
        return Part("Who tried to refute it", (f"{stated.audit[:1].upper()}{stated.audit[1:]}.",))
    told = [
        "Apart from the training, the mechanism ran on simulated people with far too much noise, and what it learnt "
        f"was {'' if found.destroyed_by_noise else 'NOT '}destroyed: its noise "
        f"{'takes effect' if found.destroyed_by_noise else 'does not take effect'}."
    ]
    if found.steps_in_ledger is not None:
        told.append(
            f"{found.steps_in_ledger} steps are charged and {found.steps_in_optimizer} were counted by the optimizer."
        )
    bound, claim, ceiling = found.epsilon_lower_bound, found.epsilon_claimed, found.epsilon_ceiling
    if bound is None or claim is None:
        told.append("No canaries were inserted, so there is no lower bound on ε; the promise rests on the proof alone.")
        return Part("Who tried to refute it", tuple(told))
    told.append(
        f"Into the training went {found.inserted} of {found.canaries} made-up users, by the toss of coins, in columns "
        "of their own that are dropped before anything is kept. There the audit tells who took part; the better it "
        "tells, the more privacy was lost, whatever was claimed."
    )
    told.append("It does not refute the claim." if bound <= claim else "THE CLAIM IS REFUTED: do not use this version.")
    figures = (
        (claim, "claimed, of the audited release alone"),
        (bound, f"audit bound: it lost at least that, with {(found.confidence or 0):.1%} confidence"),
        (ceiling, "ceiling: what the audit would report, in the median, were the claim exactly tight"),
        (found.one_run_lower_bound, "bound that assumes nothing about the noise (Steinke, Nasr & Jagielski 2023)"),
        (found.one_run_ceiling, "ceiling of that bound"),
    )
    rows = tuple((f"{figure:.3f}", text) for figure, text in figures if figure is not None)
    return Part("Who tried to refute it", tuple(told), header=("ε", "what"), rows=rows)


def shown(stated: PrivacyStatement) -> Part:
    """Return the joint clause."""
    older = "This version is older than its joint clause; what holds is in the last but one point below."
    return Part("What users are shown", (stated.joint or older,))


def trusted(stated: PrivacyStatement) -> Part:
    """Return who sees data as it is."""
    return Part("Who still sees people's data as it is", (stated.trusted_zone or "See the first point below.",))


def checked(document: VersionStatement) -> Part:
    """Return the digests by which all of it is checked."""
    return Part(
        "How to check it",
        (
            "Each digest is SHA-256. The verdict names the statement, and a second person signed the verdict.",
            *document.notes,
        ),
        header=("", ""),
        rows=(
            ("Statement", document.statement),
            *((("Verdict", document.verdict),) if document.verdict else ()),
            ("Model", document.model),
            ("Ledger", document.privacy.ledger),
            *((f"Release {one.mechanism}, {one.split}", one.release) for one in document.privacy.charged),
        ),
    )


def _grade(epsilon: float) -> str:
    if epsilon <= 1:
        return "That is a strong promise, at most ε = 1"
    if epsilon <= 10:
        return "That is a moderate promise: strong begins at ε = 1, and above 10 there is little left"
    return "That is a weak promise: above ε = 10 there is little left of one"

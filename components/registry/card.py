"""The model card of a version, in Markdown: what it is, its privacy, its quality and the gates that it met."""

from __future__ import annotations

import itertools

from components.core.records import PrivacyStatement
from components.privacy.statement import candidate_of
from components.privacy.statement_figures import flat
from components.registry.evidence import VersionEvidence

_DIGEST = 64
_PARAMETERS = 600
"""Characters for a mechanism's parameters; a registry's text has room for 5,000, and the statement has them all."""
_SAID_IN_FULL = ("The trusted zone", "What one user is shown")
"""Gaps of which the clauses above them say more."""


def model_card(evidence: VersionEvidence) -> str:
    """Return the card; every figure is a released one, with its interval."""
    verdict, statement, evaluation = evidence.verdict, evidence.statement, evidence.evaluation
    kind = "personal" if verdict.personal else "not personal: the floor, the same answer for everyone"
    measured = evaluation.metrics.get(verdict.candidate, {})
    metrics = [
        f"| {name} | {interval.value:.4f} | {interval.low:.4f} to {interval.high:.4f} |"
        for name, interval in measured.items()
    ]
    gates = [
        f"| {gate.gate} | {gate.value} | {gate.limit} | {'passed' if gate.passed else '**failed**'} |"
        for gate in verdict.gates
    ]
    lines = [
        f"# {verdict.service}: {verdict.candidate} ({kind})",
        "",
        f"Trained on {_source(evidence)}, blocks {', '.join(statement.blocks)}, at the request of "
        f"{evidence.training.author}.",
        "",
        "## Privacy",
        *_promise(statement),
        "",
        f"## Quality on {evaluation.split} users, {evaluation.confidence:.0%} intervals with the noise in them",
        "| metric | value | interval |",
        "| --- | --- | --- |",
        *metrics,
        "",
        "## Gates",
        "| gate | value | limit | verdict |",
        "| --- | --- | --- | --- |",
        *gates,
        "",
        f"Bundle `{verdict.bundle[:16]}`, verdict `{verdict.digest[:16]}`.",
    ]
    return "\n".join(lines) + "\n"


def _promise(stated: PrivacyStatement) -> list[str]:
    """Return the statement in the order of its page, briefly: a registry's text has room for 5,000 characters."""
    own = next((one.parameters for one in stated.charged if one.mechanism == candidate_of(stated)), {})
    parameters = _in_brief([f"{name} {value}" for name, value in flat(own).items() if len(value) < _DIGEST])
    gaps = [gap for gap in stated.not_covered if not (stated.joint and gap.startswith(_SAID_IN_FULL))]
    return [
        f"({stated.epsilon:.3g}, {stated.delta:.2g})-differential privacy for every {stated.unit} "
        f"({stated.neighbours}) by `{stated.mechanism}`" + (f" ({parameters})." if parameters else "."),
        f"Lifetime: {stated.lifetime}. Audit: {stated.audit}.",
        f"Accountants: {', '.join(f'{name} {figure:.4g}' for name, figure in stated.accountants.items())}.",
        *_charged(stated),
        *(["", stated.joint] if stated.joint else []),
        *(["", stated.trusted_zone] if stated.trusted_zone else []),
        *(["", "Not covered:", "", *(f"- {gap}" for gap in gaps)] if gaps else []),
    ]


def _in_brief(parameters: list[str]) -> str:
    lengths = itertools.accumulate(len(one) + 2 for one in parameters)
    kept = sum(length <= _PARAMETERS for length in lengths)
    left = len(parameters) - kept
    return ", ".join(parameters[:kept]) + (f", and {left} more in the statement" if left else "")


def _charged(stated: PrivacyStatement) -> list[str]:
    if not stated.charged:
        return []
    costs = "; ".join(f"{cost.split} ε = {cost.epsilon:.3g}" for cost in stated.splits)
    rows = [
        f"| {one.mechanism} | {one.split} | {one.noise_multiplier:.3g} | {one.epsilon:.3g} |" for one in stated.charged
    ]
    return [
        f"Everything charged, together {costs}:",
        "",
        "| charged | users | σ ÷ sensitivity | ε alone |",
        "| --- | --- | --- | --- |",
        *rows,
    ]


def _source(evidence: VersionEvidence) -> str:
    simulator = evidence.dataset.simulator
    return f"`{evidence.dataset.source}`" + (f" (simulated, version {simulator})" if simulator is not None else "")

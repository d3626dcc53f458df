"""The verdict and its figures as Markdown, for the orchestrator's UI, the version's card and the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from components.core.records import Evaluation, Interval, PrivacyStatement, Verdict
from components.core.service import Service

Ceiling = Mapping[str, Mapping[str, float]]
"""Metrics of models trained without privacy, by name; only of public sources."""


def gate_table(verdict: Verdict) -> str:
    """Return one row a gate: whether it passed, value, limit and the evidence that it read."""
    rows = [
        ["pass" if gate.passed else "**FAIL**", gate.gate, gate.value, gate.limit, f"`{gate.evidence[:12] or 'none'}`"]
        for gate in verdict.gates
    ]
    return table(["", "gate", "value", "limit", "evidence"], rows)


def summary(
    *,
    service: Service,
    verdict: Verdict,
    evaluation: Evaluation,
    statement: PrivacyStatement,
    ceiling: Ceiling | None = None,
    accounts: str = "",
    form: str = "",
) -> str:
    """Return what a reader needs to know: the outcome, what it cost, the metrics, and each gate.

    Args:
        service: names the metrics in their order, and the floor.
        verdict: the outcome; where the floor goes instead of a personal candidate, it says so.
        evaluation: the test evaluation that the verdict read.
        statement: for ε and δ.
        ceiling: where the source is public.
        accounts: what is left of them, as a table (`burn_down_table`).
        form: what is to be said of a bundle that was made smaller.
    """
    parts = [
        f"## {_outcome(verdict)}",
        f"User-level ε = {statement.epsilon:.3g}, δ = {statement.delta:.1g} ({statement.neighbours}). "
        f"Intervals are at {evaluation.confidence:.0%} and include sampling and noise.",
        form,
        metric_table(service, evaluation, ceiling),
        "\n".join(f"- {line}" for line in _gains(service, evaluation)),
        gate_table(verdict),
        f"### Privacy budget\n\n{accounts}" if accounts else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def metric_table(service: Service, evaluation: Evaluation, ceiling: Ceiling | None = None) -> str:
    """Return one row a metric, one column a bundle, and after them the ceilings."""
    ceilings = ceiling or {}
    bundles = ordered(evaluation.metrics, [*service.candidates, "champion"])
    rows = [
        [metric]
        + [_interval(evaluation.metrics[bundle].get(metric)) for bundle in bundles]
        + [f"{figures[metric]:.4f}" if metric in figures else "" for figures in ceilings.values()]
        for metric in metric_names(service, evaluation)
    ]
    header = ["metric"] + [_role(bundle, service, evaluation) for bundle in bundles]
    return table(header + [f"{name} (not private)" for name in ceilings], rows)


def metric_names(service: Service, evaluation: Evaluation) -> list[str]:
    """Return the metrics in the service's order, means before what is derived, those that it probes last."""
    found = {metric for metrics in evaluation.metrics.values() for metric in metrics}
    return ordered(found, [metric.name for metric in service.figures])


def ordered(names: Iterable[str], first: Sequence[str]) -> list[str]:
    """Return `names`, those that `first` lists in its order, then the others by name; records do not keep an order."""
    found = set(names)
    return [name for name in first if name in found] + sorted(found - set(first))


def _outcome(verdict: Verdict) -> str:
    name = f"{verdict.service}/{verdict.candidate}"
    failed = ", ".join(gate.gate for gate in verdict.gates if not gate.passed)
    if not verdict.passed:
        return f"{name} did not pass: {failed}"
    instead = verdict.details.get("instead_of")
    if instead:
        reasons = ", ".join(instead["failed"])
        return f"{name}, the floor, passed and goes instead of {instead['candidate']}, which failed {reasons}"
    return f"{name} passed" + ("" if verdict.personal else " as floor: the same answer for everyone")


def _gains(service: Service, evaluation: Evaluation) -> list[str]:
    metric = service.metrics[0].name
    lines = []
    for pair, gain in evaluation.paired.items():
        name, _, opponent = pair.rpartition("/")
        name = {"": evaluation.chosen, "floor": service.floor.name}.get(name, name)
        against = f"the floor {service.floor.name}" if opponent == "floor" else f"the {opponent}"
        lines.append(f"{name} against {against}, paired, {metric}: {_interval(gain, sign='+')}")
    return lines


def _role(bundle: str, service: Service, evaluation: Evaluation) -> str:
    roles = [
        word
        for word, holds in (("chosen", bundle == evaluation.chosen), ("floor", bundle == service.floor.name))
        if holds
    ]
    return f"{bundle} ({', '.join(roles)})" if roles else bundle


def _interval(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return ""
    if interval.low == interval.high:
        return f"{interval.value:{sign}.4f}"
    return f"{interval.value:{sign}.4f} [{interval.low:{sign}.4f}, {interval.high:{sign}.4f}]"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

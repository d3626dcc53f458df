"""The model card of a version, in Markdown: what it is, its privacy, its quality and the gates that it met."""

from __future__ import annotations

from components.registry.evidence import VersionEvidence


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
        f"({statement.epsilon:.3g}, {statement.delta:.2g})-differential privacy for every {statement.unit} "
        f"({statement.neighbours}) by `{statement.mechanism}`.",
        f"Lifetime: {statement.lifetime}. Audit: {statement.audit}.",
        *(["", "Not covered:", "", *(f"- {gap}" for gap in statement.not_covered)] if statement.not_covered else []),
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


def _source(evidence: VersionEvidence) -> str:
    simulator = evidence.dataset.simulator
    return f"`{evidence.dataset.source}`" + (f" (simulated, version {simulator})" if simulator is not None else "")

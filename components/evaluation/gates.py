"""Gates: a pure judgement over records. Nothing passes by default.

Each gate says the value, the limit and the evidence that it read. Evidence that is missing, speaks of another service,
bundle, dataset or ledger, or holds what is not a number, fails its gate. A version passes if every gate does.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from components.core.errors import GateNotMet
from components.core.evidence import Record
from components.core.params import Gates
from components.core.records import Audit, GateResult, Interval, Verdict
from components.evaluation.case import Case, digest_of, short, unusable, unusable_evaluation, unusable_statement


def judge(*, params: Gates, case: Case) -> Verdict:
    """Return the verdict on `case`; it never raises on bad evidence, it fails."""
    gates = tuple(gate(params, case) for gate in _GATES)
    return Verdict(
        service=case.service,
        candidate=case.candidate,
        personal=case.trained.personal if case.trained else False,
        bundle=case.trained.bundle if case.trained else "",
        dataset=digest_of(case.dataset),
        request=digest_of(case.request),
        statement=digest_of(case.statement),
        evaluation=digest_of(case.evaluation),
        audit=digest_of(case.audit),
        gates=gates,
        passed=all(gate.passed for gate in gates),
        ledger=case.ledger,
        details={"params": params.model_dump(mode="json")},
    )


def best_that_passes(*, params: Gates, case: Case, floor: Case) -> Verdict:
    """Return the verdict on `case`, or, where only the floor passes, the floor's, which says instead of whom it goes.

    Args:
        params: the limits.
        case: the chosen candidate.
        floor: the floor's case, its evaluation read with `evaluate.floor_instead`.
    """
    verdict = judge(params=params, case=case)
    if verdict.passed or not verdict.personal:
        return verdict
    fallback = judge(params=params, case=floor)
    if not fallback.passed or fallback.personal:
        return verdict
    refused = {"candidate": verdict.candidate, "failed": [gate.gate for gate in verdict.gates if not gate.passed]}
    return fallback.model_copy(update={"details": {**fallback.details, "instead_of": refused}})


def require_passed(verdict: Verdict) -> None:
    """Let a passed verdict through.

    Raises:
        GateNotMet: a gate failed, or the verdict has no gates; the message names each failed gate, value and limit.
    """
    failed = [gate for gate in verdict.gates if not gate.passed]
    missing = [gate for gate in GATES if gate not in {result.gate for result in verdict.gates}]
    if verdict.passed and not failed and not missing:
        return
    reasons = [f"{gate.gate} (found {gate.value}, limit {gate.limit})" for gate in failed]
    reasons += [f"{gate} (not judged)" for gate in missing]
    raise GateNotMet(
        f"{verdict.service}/{verdict.candidate} did not pass {', '.join(reasons) or 'as a whole'}",
        next_step="Nothing was registered; mend what the gate names and train again, or keep the champion.",
    )


def _provenance(params: Gates, case: Case) -> GateResult:
    dataset = digest_of(case.dataset)
    problem = (
        unusable("the dataset", case.dataset)
        or unusable("the training request", case.request, service=case.service, dataset=dataset)
        or unusable(
            "the trained bundle",
            case.trained,
            service=case.service,
            candidate=case.candidate,
            dataset=dataset,
            ledger=case.ledger,
        )
    )
    value = problem or "one service, dataset and ledger"
    return _result("provenance", value, "one service, dataset and ledger", not problem, case.trained)


def _data_checks(params: Gates, case: Case) -> GateResult:
    named = set(case.dataset.checks) if case.dataset else set()
    found = {digest_of(check) for check in case.checks}
    problem = unusable("the dataset", case.dataset)
    if not problem and not named:
        problem = "no check of this dataset"
    if not problem and named != found:
        problem = f"{len(named - found)} checks are missing and {len(found - named)} are of another dataset"
    failed = [f"{check.table}: {', '.join(check.failed) or 'failed'}" for check in case.checks if not check.passed]
    value = problem or "; ".join(failed) or ", ".join(sorted(f"{check.table} passed" for check in case.checks))
    return _result("data_checks", value, "every check passed", not problem and not failed, case.dataset)


def _epsilon(params: Gates, case: Case) -> GateResult:
    problem = unusable_statement(case)
    value = case.statement.epsilon if case.statement else math.nan
    return _at_most("epsilon", value, params.epsilon, "", problem, case.statement)


def _delta(params: Gates, case: Case) -> GateResult:
    problem = unusable_statement(case)
    value = case.statement.delta if case.statement else math.nan
    return _at_most("delta", value, params.delta, "", problem, case.statement)


def _gain_over_floor(params: Gates, case: Case) -> GateResult:
    problem = unusable_evaluation(params, case)
    limit = f"lower bound > {params.gain_over_floor:g}"
    if not problem and case.trained and not case.trained.personal:
        return _result("gain_over_floor", "not personal: passes as floor", limit, True, case.evaluation)
    gain = case.evaluation.paired.get("floor") if case.evaluation else None
    if not problem and gain is None:
        problem = "no paired difference to the floor"
    passed = not problem and gain is not None and gain.low > params.gain_over_floor
    return _result("gain_over_floor", problem or _show(gain), limit, passed, case.evaluation)


def _regression(params: Gates, case: Case) -> GateResult:
    problem = unusable_evaluation(params, case)
    limit = f"lower bound ≥ {-params.regression_tolerance:g}"
    compared = case.evaluation.bundles.get("champion") if case.evaluation else None
    if not problem and compared != case.champion:
        problem = (
            f"compared with {short(compared)}, while the champion is {short(case.champion)}: run the evaluation again"
        )
    if not problem and case.champion is None:
        return _result("regression", "no champion yet", limit, True, case.evaluation)
    change = case.evaluation.paired.get("champion") if case.evaluation else None
    if not problem and change is None:
        problem = "no paired difference to the champion"
    passed = not problem and change is not None and change.low >= -params.regression_tolerance
    return _result("regression", problem or _show(change), limit, passed, case.evaluation)


def _audit(params: Gates, case: Case) -> GateResult:
    problem = unusable("the audit", case.audit, service=case.service, bundle=case.trained and case.trained.bundle)
    if problem or case.audit is None or case.trained is None:
        return _result("audit", problem or "no bundle", "destroyed by noise, equal steps", False, case.audit)
    audit, steps = case.audit, case.trained.steps
    equal = audit.steps_in_ledger == audit.steps_in_optimizer and steps in (None, audit.steps_in_optimizer)
    refuted, proved, limit = _canaries(params, audit)
    values = [proved, f"{'destroyed' if audit.destroyed_by_noise else 'not destroyed'} by noise"]
    if audit.steps_in_ledger is not None or audit.steps_in_optimizer is not None or steps is not None:
        values += [f"steps: ledger {audit.steps_in_ledger}, optimizer {audit.steps_in_optimizer}, training {steps}"]
        limit += ", equal steps"
    passed = audit.destroyed_by_noise and equal and not refuted
    return _result("audit", "; ".join(filter(None, values)), limit, passed, audit)


def _canaries(params: Gates, audit: Audit) -> tuple[bool, str, str]:
    """Return whether canaries refute the claim, or too few tried to; what they proved; and the limit."""
    figures = (audit.epsilon_claimed, audit.epsilon_lower_bound, audit.one_run_lower_bound, audit.epsilon_ceiling)
    claimed, lower, one_run, most = (math.nan if figure is None else figure for figure in figures)
    destroyed = "destroyed by noise"
    if not audit.canaries:
        return (
            params.canaries > 0,
            "no canaries" if params.canaries else "",
            (f"≥ {params.canaries} canaries, {destroyed}" if params.canaries else destroyed),
        )
    proved = (
        f"{audit.canaries} canaries prove ε ≥ {lower:.3g} (one-run bound {one_run:.3g}), "
        f"and would prove {most:.3g} were the claim tight"
    )
    sound = audit.canaries >= params.canaries and lower <= claimed and one_run <= claimed  # no NaN is
    wanted = f"≥ {params.canaries} canaries, " if audit.canaries < params.canaries else ""
    return not sound, proved, f"{wanted}at most the claimed ε = {claimed:.3g}, {destroyed}"


def _bundle_megabytes(params: Gates, case: Case) -> GateResult:
    return _measured("bundle_megabytes", case.megabytes, params.bundle_megabytes, "MB", case)


def _latency_milliseconds(params: Gates, case: Case) -> GateResult:
    return _measured("latency_milliseconds", case.latency, params.latency_milliseconds, "ms at p95", case)


_GATES: tuple[Callable[[Gates, Case], GateResult], ...] = (
    _provenance,
    _data_checks,
    _epsilon,
    _delta,
    _gain_over_floor,
    _regression,
    _audit,
    _bundle_megabytes,
    _latency_milliseconds,
)

GATES = tuple(gate.__name__.removeprefix("_") for gate in _GATES)
"""Names of the gates, in the order of every verdict."""


def _measured(gate: str, value: float | None, limit: float, unit: str, case: Case) -> GateResult:
    problem = unusable("the trained bundle", case.trained) or ("it was not measured" if value is None else None)
    result = _at_most(gate, math.nan if value is None else value, limit, unit, problem, None)
    return result.model_copy(update={"evidence": case.trained.bundle if case.trained else ""})


def _at_most(
    gate: str, value: float, limit: float, unit: str, problem: str | None, evidence: Record | None
) -> GateResult:
    if not problem and not (math.isfinite(value) and value >= 0):
        problem = f"{value} cannot be"
    shown = problem or f"{value:.6g} {unit}".strip()
    return _result(gate, shown, f"≤ {limit:g} {unit}".strip(), not problem and value <= limit, evidence)


def _result(gate: str, value: str, limit: str, passed: bool, evidence: Record | None) -> GateResult:
    return GateResult(gate=gate, value=value, limit=limit, passed=passed, evidence=digest_of(evidence))


def _show(interval: Interval | None) -> str:
    return f"{interval.value:+.4f} [{interval.low:+.4f}, {interval.high:+.4f}]" if interval else ""

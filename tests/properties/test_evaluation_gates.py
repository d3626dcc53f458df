"""Laws of the judgement: monotone, a conjunction, nothing by default, and the order of evidence does not matter."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.core.errors import GateNotMet
from components.core.params import Gates
from components.evaluation.gates import best_that_passes, judge, require_passed
from tests.unit.evaluation.cases import GOOD, changed, floor_case, with_gain

PARAMS = Gates(epsilon=3, delta=1e-5, gain_over_floor=0.005)
EVIDENCE = ("dataset", "request", "trained", "statement", "evaluation", "audit", "megabytes", "latency")
amounts = st.floats(0, 10, allow_nan=False)


def case_of(epsilon, delta, gain, change, megabytes, latency):
    case = changed(GOOD, "statement", epsilon=epsilon, delta=delta * 1e-5)
    case = with_gain(case, "floor", gain, gain, gain)
    case = with_gain(case, "champion", change, change, change)
    return replace(case, megabytes=megabytes * 100, latency=latency * 20)


lower_is_better = st.tuples(amounts, amounts)
higher_is_better = st.tuples(st.floats(-0.05, 0.05), st.floats(-0.05, 0.05))


@given(lower_is_better, lower_is_better, higher_is_better, higher_is_better, lower_is_better, lower_is_better)
def test_a_better_value_never_fails_what_a_worse_one_passed(epsilon, delta, gain, change, megabytes, latency):
    down, up = (epsilon, delta, megabytes, latency), (gain, change)
    low_e, low_d, low_m, low_l = (min(pair) for pair in down)
    high_e, high_d, high_m, high_l = (max(pair) for pair in down)
    worst_gain, worst_change = (min(pair) for pair in up)
    best_gain, best_change = (max(pair) for pair in up)
    better = judge(params=PARAMS, case=case_of(low_e, low_d, best_gain, best_change, low_m, low_l))
    worse = judge(params=PARAMS, case=case_of(high_e, high_d, worst_gain, worst_change, high_m, high_l))
    for good, bad in zip(better.gates, worse.gates, strict=True):
        assert good.passed >= bad.passed, good.gate
    assert better.passed >= worse.passed


@given(st.lists(amounts, min_size=4, max_size=4), st.lists(st.floats(-0.05, 0.05), min_size=2, max_size=2))
def test_a_version_passes_only_if_every_gate_does(down, up):
    epsilon, delta, megabytes, latency = down
    verdict = judge(params=PARAMS, case=case_of(epsilon, delta, *up, megabytes, latency))
    assert verdict.passed == all(gate.passed for gate in verdict.gates)
    if verdict.passed:
        require_passed(verdict)
    else:
        with pytest.raises(GateNotMet):
            require_passed(verdict)


@given(st.sets(st.sampled_from(EVIDENCE), min_size=1), st.booleans())
def test_missing_evidence_never_passes_whoever_is_judged(missing, is_floor):
    case = replace(floor_case() if is_floor else GOOD, **dict.fromkeys(missing))
    assert not judge(params=PARAMS, case=case).passed
    assert not best_that_passes(params=PARAMS, case=case, floor=case).passed


@given(st.permutations(GOOD.checks), st.permutations(sorted(GOOD.evaluation.paired)))
def test_the_order_of_the_evidence_does_not_matter(checks, opponents):
    paired = {name: GOOD.evaluation.paired[name] for name in opponents}
    case = replace(changed(GOOD, "evaluation", paired=paired), checks=tuple(checks))
    assert judge(params=PARAMS, case=case).digest == judge(params=PARAMS, case=GOOD).digest


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_whatever_a_figure_is_the_verdict_is_a_record(value):
    case = with_gain(changed(GOOD, "statement", epsilon=value), "floor", value, value, value)
    assert judge(params=PARAMS, case=replace(case, latency=value, megabytes=value)).digest

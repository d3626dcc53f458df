from dataclasses import replace

import pytest

from components.core.params import Gates
from components.core.records import Evaluation, Interval
from components.evaluation.gates import GATES, best_that_passes, judge
from components.evaluation.report import gate_table, metric_table, summary

from .cases import EVALUATION, GOOD, STATEMENT, floor_case, with_gain
from .toy import HISTOGRAM

PARAMS = Gates()


@pytest.fixture
def evaluation(tmp_path) -> Evaluation:
    """Read back from a file, as a reader gets it: a record does not keep the order of its metrics."""
    interval = Interval(value=0.5, low=0.4, high=0.6)
    metrics = {
        name: {"hit_rate": interval, "ndcg": interval, "coverage": Interval(value=0.25, low=0.25, high=0.25)}
        for name in ("deep", "common", "champion")
    }
    record = EVALUATION.model_copy(update={"metrics": metrics})
    return Evaluation.read(record.write(tmp_path / "evaluation.json"))


def rows(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_gate_table_has_one_row_a_gate_and_marks_what_failed():
    table = rows(gate_table(judge(params=PARAMS, case=replace(GOOD, latency=99.0))))
    assert [row[1] for row in table[2:]] == list(GATES)
    assert [row[1] for row in table if row[0] == "**FAIL**"] == ["latency_milliseconds"]
    assert table[-1][2:4] == ["99 ms at p95", "≤ 50 ms at p95"]


def test_a_bar_in_a_value_does_not_break_the_table():
    verdict = judge(params=PARAMS, case=GOOD)
    odd = verdict.gates[0].model_copy(update={"value": "a|b"})
    assert "a\\|b" in gate_table(verdict.model_copy(update={"gates": (odd,)}))


def test_metrics_stand_in_the_service_s_order_with_the_floor_first_and_probes_last(toy, evaluation):
    table = rows(metric_table(toy, evaluation, {"ease": {"ndcg": 0.7}}))
    assert table[0] == ["metric", "common (floor)", "deep (chosen)", "champion", "ease (not private)"]
    assert [row[0] for row in table[2:]] == ["ndcg", "hit_rate", "coverage"]
    assert table[2][1:] == ["0.5000 [0.4000, 0.6000]"] * 3 + ["0.7000"]
    assert table[4][1:] == ["0.2500"] * 3 + [""]


def test_derived_figures_stand_after_the_means_in_their_declared_order(toy, evaluation):
    interval = Interval(value=0.7, low=0.6, high=0.8)
    metrics = {name: {"f1": interval, "auc": interval, **found} for name, found in evaluation.metrics.items()}
    table = rows(metric_table(replace(toy, histogram=HISTOGRAM), evaluation.model_copy(update={"metrics": metrics})))
    assert [row[0] for row in table[2:]] == ["ndcg", "hit_rate", "auc", "f1", "coverage"]
    assert table[4][1:] == ["0.7000 [0.6000, 0.8000]"] * 3


@pytest.mark.parametrize(
    ("verdict", "heading"),
    [
        (judge(params=PARAMS, case=GOOD), "## toy/deep passed\n"),
        (judge(params=PARAMS, case=replace(GOOD, latency=99.0)), "## toy/deep did not pass: latency_milliseconds\n"),
        (judge(params=PARAMS, case=floor_case()), "## toy/common passed as floor: the same answer for everyone\n"),
        (
            best_that_passes(params=PARAMS, case=with_gain(GOOD, "floor", 0, -1, 1), floor=floor_case()),
            "## toy/common, the floor, passed and goes instead of deep, which failed gain_over_floor\n",
        ),
    ],
)
def test_the_summary_opens_with_the_outcome(toy, evaluation, verdict, heading):
    text = summary(service=toy, verdict=verdict, evaluation=evaluation, statement=STATEMENT)
    assert text.startswith(heading)


def test_the_summary_says_what_it_cost_and_each_paired_gain_by_its_names(toy, evaluation):
    text = summary(service=toy, verdict=judge(params=PARAMS, case=GOOD), evaluation=evaluation, statement=STATEMENT)
    assert "ε = 2.9, δ = 1e-06" in text
    assert "- deep against the floor common, paired, ndcg: +0.0300 [+0.0200, +0.0400]" in text
    assert "- common against the champion, paired, ndcg: -0.0020 [-0.0080, +0.0040]" in text

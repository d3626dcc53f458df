from dataclasses import replace

import numpy as np
import pytest

from components.core import digest
from components.core.errors import BudgetExhausted, ContractBroken
from components.core.params import Cap
from components.core.service import Metric
from components.core.service import find as service_named
from components.evaluation import evaluate as module
from components.evaluation.evaluate import evaluate, figures, floor_instead
from components.evaluation.moments import MomentsPlan
from components.privacy.ledger import Ledger
from components.services.recommend.data import fold_in

from .toy import HISTOGRAM, cells, private_rows, score, service

DATASET = "d" * 64
ALMOST_SURE = 1 - 1e-9  # the noise is fresh in every run, so a test allows it six standard deviations


@pytest.fixture
def run(toy, bundles, ledger):
    """Evaluate the toy bundles, with some arguments changed."""

    def call(**changes):
        rows = changes.pop("rows", private_rows())
        usual = {
            "service": toy,
            "rows": rows,
            "dataset": DATASET,
            "bundles": bundles,
            "chosen": "deep",
            "champion": None,
            "mu": 0.5,
            "ledger": ledger,
            "confidence": 0.95,
            "seed": 1,
        }
        return evaluate(**{**usual, **changes})

    return call


def spent(ledger):
    return sum(entry.verb == "settle" for entry in ledger.entries())


def test_a_test_evaluation_holds_metrics_and_the_paired_gain_of_the_chosen_one_over_the_floor(run):
    evaluation = run(confidence=ALMOST_SURE)
    assert set(evaluation.metrics) == {"deep", "common"}
    assert evaluation.paired.keys() == {"floor"}
    gain = evaluation.paired["floor"]
    assert gain.low < 0.1 < gain.high
    assert gain.high - gain.low < 0.03
    draws = np.random.default_rng(5).beta(1.2, 5, size=3000)
    for name, moved in {"common": 0.0, "deep": 0.1}.items():
        ndcg = evaluation.metrics[name]["ndcg"]
        assert ndcg.low < np.clip(draws + moved, 0, 1).mean() < ndcg.high


def test_the_best_noised_gain_over_the_floor_is_chosen_on_validation(run):
    evaluation = run(rows=private_rows("validation"), chosen=None)
    assert evaluation.chosen == "deep"
    assert evaluation.split == "validation"
    assert evaluation.paired.keys() == {"floor", "linear/floor"}


def test_the_floor_is_chosen_where_nobody_beats_it(run, bundles):
    for name in ("linear", "deep"):
        (bundles[name] / "number").write_text("-0.2")
    evaluation = run(rows=private_rows("validation"), chosen=None)
    assert evaluation.chosen == "common"
    assert evaluation.paired.keys() == {"linear/floor", "deep/floor"}


def test_a_champion_is_compared_with_the_chosen_one_and_with_the_floor(run, bundles):
    evaluation = run(champion=bundles["linear"])
    assert evaluation.paired.keys() == {"floor", "champion", "floor/champion"}
    assert evaluation.bundles["champion"] == digest.of_path(bundles["linear"])
    assert evaluation.paired["champion"].value == pytest.approx(0.05, abs=0.02)
    assert evaluation.paired["floor/champion"].value == pytest.approx(-0.05, abs=0.02)


def test_the_same_release_read_for_the_floor_turns_its_own_comparison_to_the_champion_forward(run, bundles):
    evaluation = run(champion=bundles["linear"])
    turned = floor_instead(evaluation, "common")
    assert turned.chosen == "common"
    assert turned.paired["champion"] == evaluation.paired["floor/champion"]
    assert turned.paired["deep/floor"] == evaluation.paired["floor"]
    assert turned.paired["deep/champion"] == evaluation.paired["champion"]
    assert turned.release == evaluation.release


def test_without_a_champion_the_floor_has_no_opponent(run):
    assert floor_instead(run(), "common").paired.keys() == {"deep/floor"}
    assert run(chosen="common").paired == {}


def test_the_same_evaluation_again_is_free_and_equal(run, ledger):
    first = run()
    settled = spent(ledger)
    assert run() == first
    assert spent(ledger) == settled


def test_another_confidence_reads_the_same_release(run, ledger):
    narrow = run()
    settled = spent(ledger)
    wide = run(confidence=0.99)
    assert spent(ledger) == settled
    assert wide.paired["floor"].value == narrow.paired["floor"].value
    assert wide.paired["floor"].low < narrow.paired["floor"].low


def test_another_bundle_another_seed_and_another_budget_are_new_releases(run, bundles, ledger):
    run()
    settled = spent(ledger)
    run(seed=2)
    run(mu=0.25)
    (bundles["deep"] / "number").write_text("0.11")
    run()
    assert spent(ledger) == settled + 3


def test_all_blocks_of_the_rows_are_charged_and_only_their_split(run, ledger):
    run()
    assert {(account.block, account.split) for account in ledger.accounts()} == {("2000Q4", "test"), ("2001Q1", "test")}


def test_a_release_that_does_not_fit_is_refused_before_a_user_is_scored(tmp_path, bundles):
    scored = []
    toy = service(score=lambda bundle, rows, seed: scored.append(bundle) or score(bundle, rows, seed))
    ledger = Ledger.open(tmp_path / "small", Cap(epsilon=0.5, delta=1e-6))
    rows = private_rows()
    with pytest.raises(BudgetExhausted):
        evaluate(
            service=toy,
            rows=rows,
            dataset=DATASET,
            bundles=bundles,
            chosen="deep",
            champion=None,
            mu=2.0,
            ledger=ledger,
            confidence=0.95,
            seed=1,
        )
    assert scored == []


def test_figures_of_the_bundle_alone_are_exact_and_beside_the_others(run, toy):
    evaluation = run(service=replace(toy, probe=lambda bundle: {"coverage": 0.25}))
    coverage = evaluation.metrics["deep"]["coverage"]
    assert coverage.low == coverage.value == coverage.high == 0.25


def test_a_settled_evaluation_neither_scores_nor_probes_again(run, toy):
    asked = []
    watched = replace(
        toy,
        score=lambda bundle, rows, seed: asked.append(bundle) or score(bundle, rows, seed),
        probe=lambda bundle: asked.append(bundle) or {"coverage": 0.25},
    )
    first = run(service=watched)
    asked.clear()
    assert run(service=watched) == first
    assert asked == []


def test_derived_figures_are_in_the_same_release_each_with_its_interval(run, toy, bundles, ledger):
    evaluation = run(service=replace(toy, histogram=HISTOGRAM), confidence=ALMOST_SURE)
    assert sum(entry.verb == "settle" for entry in ledger.entries()) == 1
    draws = np.random.default_rng(5).beta(1.2, 5, size=3000)
    for name in ("common", "deep"):
        assert set(evaluation.metrics[name]) == {"ndcg", "hit_rate", "auc", "f1"}
        truth = HISTOGRAM.figures(cells(bundles[name], draws, 1).mean(axis=0))
        for metric, value in truth.items():
            bounds = evaluation.metrics[name][metric]
            assert 0 <= bounds.low < value < bounds.high <= 1
            assert bounds.low < bounds.value < bounds.high
    assert evaluation.metrics["deep"]["auc"].value > evaluation.metrics["common"]["auc"].value
    assert run(service=replace(toy, histogram=HISTOGRAM), confidence=ALMOST_SURE) == evaluation


def test_derived_figures_cost_nothing_more_and_the_others_a_part_of_their_precision(run, toy, ledger):
    alone = run()
    spent_alone = [account.spent for account in ledger.accounts()]
    joint = run(service=replace(toy, histogram=HISTOGRAM, name="other"))
    releases = [entry.body for entry in ledger.entries() if entry.verb == "reserve"]
    assert len(releases) == 2
    assert releases[0]["release"]["sensitivity"] == releases[1]["release"]["sensitivity"]
    assert releases[0]["release"]["event"] == releases[1]["release"]["event"]
    widths = [one.paired["floor"].high - one.paired["floor"].low for one in (alone, joint)]
    assert 1 < widths[1] / widths[0] < 1.3
    assert spent_alone


def test_other_derived_figures_of_the_same_cells_are_free(run, toy, ledger):
    run(service=replace(toy, histogram=HISTOGRAM))
    settled = spent(ledger)
    other = replace(HISTOGRAM, figures=lambda means: {"mass": means.sum()}, metrics=(Metric("mass"),))
    assert run(service=replace(toy, histogram=other)).metrics["deep"]["mass"].value == pytest.approx(1, abs=0.1)
    assert spent(ledger) == settled


@pytest.mark.parametrize("change", [{"size": 21}, {"mass": 2.0}])
def test_other_cells_are_another_release(run, toy, ledger, change):
    run(service=replace(toy, histogram=HISTOGRAM))
    settled = spent(ledger)
    wider = replace(HISTOGRAM, of=lambda *given: np.pad(cells(*given), ((0, 0), (0, change.get("size", 20) - 20))))
    usual = replace(wider, figures=lambda means: HISTOGRAM.figures(means[:20]), **change)
    run(service=replace(toy, histogram=usual))
    assert spent(ledger) == settled + 1


def test_cells_of_other_users_or_of_another_number_are_refused(run, toy):
    fewer = replace(HISTOGRAM, of=lambda *given: cells(*given)[1:])
    with pytest.raises(ContractBroken, match="different users"):
        run(service=replace(toy, histogram=fewer))
    with pytest.raises(ContractBroken, match="number of cells"):
        run(service=replace(toy, histogram=replace(HISTOGRAM, size=3)))


def test_without_a_histogram_the_mechanism_and_the_plan_are_what_they_were(toy, bundles):
    plain, counted = (module.mechanism_modules(one) for one in (toy, replace(toy, histogram=HISTOGRAM)))
    assert counted - plain >= {"components.evaluation.histograms"}
    assert "components.evaluation.histograms" not in plain
    own = module.mechanism_modules(service_named("recommend"))
    assert not {name for name in own if name.endswith((".histograms", ".cells", ".derived"))}
    assert type(module._plan(toy, {"common": bundles["common"]}, [], 1.0, 0)) is MomentsPlan


def test_training_rows_are_no_evaluation(run):
    with pytest.raises(ContractBroken, match="rows of train"):
        run(rows=private_rows("train"))


@pytest.mark.parametrize("missing", ["common", "deep"])
def test_a_missing_floor_or_chosen_one_is_named(run, bundles, missing):
    del bundles[missing]
    with pytest.raises(ContractBroken, match=f"Train {missing}"):
        run()


def test_a_champion_without_a_chosen_one_is_refused(run, bundles):
    with pytest.raises(ContractBroken, match="none is chosen"):
        run(rows=private_rows("validation"), chosen=None, champion=bundles["linear"])


def test_scores_that_are_not_one_column_a_metric_are_refused(run, toy):
    with pytest.raises(ContractBroken, match="other metrics"):
        run(service=replace(toy, score=lambda bundle, rows, seed: score(bundle, rows, seed)[:, :1]))


def test_bundles_scored_on_different_users_cannot_be_paired(run, toy, bundles):
    def some(bundle, rows, seed):
        return score(bundle, rows if bundle == bundles["deep"] else rows[1:], seed)

    with pytest.raises(ContractBroken, match="different users"):
        run(service=replace(toy, score=some))


def test_half_of_the_precision_goes_to_the_paired_differences_and_all_shares_sum_to_one():
    found = figures((Metric("a"), Metric("b"), Metric("c", high=10)), ["x", "y"], [("x", "y")])
    assert sum(figure.share for figure in found) == pytest.approx(1)
    assert [figure.share for figure in found if figure.against] == [0.5]
    assert [figure.share for figure in found if not figure.against and figure.metric == 0] == [0.125, 0.125]
    assert {(figure.low, figure.high) for figure in found} == {(-0.5, 0.5), (0, 1), (0, 10)}
    assert sum(figure.share for figure in figures((Metric("a"),), ["x"], [])) == pytest.approx(1)


def test_a_service_may_say_that_two_bundles_never_differ_by_as_much_as_users_do():
    near = figures((Metric("a", low=-1, high=3, paired=0.125),), ["x", "y"], [("x", "y")])
    assert [(figure.low, figure.high) for figure in near if figure.against] == [(-0.5, 0.5)]
    assert {(figure.low, figure.high) for figure in near if not figure.against} == {(-1, 3)}


def test_a_changed_scoring_module_is_a_changed_mechanism(toy):
    assert module._mechanism(toy) != module._mechanism(replace(toy, score=np.mean))


def test_what_draws_the_targets_of_a_user_is_part_of_the_mechanism():
    covered = module.mechanism_modules(service_named("recommend"))
    assert fold_in.__module__ in covered
    assert {"components.evaluation.moments", "components.privacy.mechanisms"} <= covered

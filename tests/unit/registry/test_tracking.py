import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from components.core.errors import Refused
from components.core.records import Interval, Verdict
from components.registry import tracking
from components.registry.runs import flat
from components.registry.store import prepare_store
from components.registry.tracking import CandidateRun, Outcome, Training

from .people import evidence


def training(settings, *, public=True):
    of = evidence(settings.home)
    dataset = of.dataset.model_copy(update={"public": public})
    return Training(
        key="k" * 64,
        request=of.training,
        dataset=dataset,
        git_commit="abc123",
        started_at=datetime(2026, 11, 24, 4, 15, tzinfo=UTC),
        parameters={"training": {"epsilon": 3}, "services": {"echo": {"columns": [1, 2]}}},
    )


def candidate(**changes):
    fields = {
        "name": "autoencoder",
        "personal": True,
        "mechanism": "dp_sgd",
        "epsilon": 2.9,
        "delta": 1e-6,
        "plan": {"event": {"noise_multiplier": 1.1}, "steps": 3},
        "metrics": {"ndcg_at_100": Interval(value=0.2, low=0.18, high=0.22)},
        "validation": {"ndcg_at_100": Interval(value=0.21, low=0.19, high=0.23)},
        "split": "test",
        "epsilon_by_step": ((1, 0.5), (2, 0.8), (3, 1.0)),
        **changes,
    }
    return CandidateRun(**fields)


def outcome(**changes):
    fields = {
        "chosen": "gram",
        "mechanism": "gram",
        "epsilon": 2.9,
        "delta": 1e-6,
        "split": "test",
        "metrics": {"ndcg_at_100": Interval(value=0.2, low=0.18, high=0.22)},
        **changes,
    }
    return Outcome(**fields)


def test_a_training_names_its_data_and_never_holds_it(settings):
    run = prepare_store(settings).get_run(tracking.start_training(settings, training(settings)))
    assert run.info.run_name == "echo · shop · ε=3 · 2026-11-24 04:15"
    assert run.data.params == {"training.epsilon": "3", "services.echo.columns": "[1, 2]"}
    assert run.data.tags["jali.data_digest"] == "d" * 64
    assert run.data.tags["jali.public"] == "true"
    dataset = run.inputs.dataset_inputs[0].dataset
    assert (dataset.name, dataset.digest) == ("shop", "d" * 32)
    assert set(json.loads(dataset.source)) == {"source", "public", "start", "end", "blocks", "digest_keyed", "checks"}


def test_candidates_and_ceilings_line_up_under_one_training(settings):
    parent = tracking.start_training(settings, training(settings))
    tracking.log_candidate(settings, parent, candidate())
    tracking.log_candidate(settings, parent, candidate(name="popularity", personal=False, mechanism="dp_popularity"))
    tracking.log_ceiling(settings, parent, "ease", {"ndcg_at_100": 0.3})
    tracking.finish_training(settings, parent, outcome())
    client = prepare_store(settings)
    where = client.get_run(parent).info.experiment_id
    runs = {run.info.run_name: run for run in client.search_runs([where])}
    assert set(runs) == {
        "echo · shop · ε=3 · 2026-11-24 04:15",
        "autoencoder · ε=2.9",
        "popularity · ε=2.9",
        "ceiling: ease (no privacy)",
    }
    for run in runs.values():
        assert "ndcg_at_100" in run.data.metrics
        assert {f"jali.{t}" for t in ("epsilon", "delta", "mechanism", "unit", "git_commit", "split")} <= set(
            run.data.tags
        )
        assert run.info.status == "FINISHED"
        assert run.inputs.dataset_inputs[0].dataset.digest == "d" * 32
    trained = runs["autoencoder · ε=2.9"]
    assert trained.data.tags["mlflow.parentRunId"] == parent
    assert trained.data.metrics["ndcg_at_100_low"] == 0.18
    assert trained.data.metrics["validation_ndcg_at_100_high"] == 0.23
    assert trained.data.params["event.noise_multiplier"] == "1.1"
    spent = client.get_metric_history(trained.info.run_id, "epsilon_spent")
    assert [(point.step, point.value) for point in spent] == [(1, 0.5), (2, 0.8), (3, 1.0)]


@pytest.mark.parametrize(
    "show",
    [
        lambda settings, parent: tracking.log_ceiling(settings, parent, "ease", {"ndcg_at_100": 0.3}),
        lambda settings, parent: tracking.log_candidate(settings, parent, candidate(losses=(1.0, 0.5))),
    ],
    ids=["ceiling", "loss"],
)
def test_what_is_not_released_is_refused_for_a_private_source(settings, show):
    parent = tracking.start_training(settings, training(settings, public=False))
    with pytest.raises(Refused, match="not shown for a private source"):
        show(settings, parent)
    client = prepare_store(settings)
    assert len(client.search_runs([client.get_run(parent).info.experiment_id])) == 1


def test_a_resumed_training_goes_on_in_its_own_run(settings):
    first = tracking.start_training(settings, training(settings))
    assert tracking.start_training(settings, training(settings)) == first
    child = tracking.log_candidate(settings, first, candidate())
    assert tracking.log_candidate(settings, first, candidate()) == child


def test_a_candidate_that_was_cut_off_is_written_anew_and_only_once(settings, monkeypatch):
    parent = tracking.start_training(settings, training(settings))
    with monkeypatch.context() as broken:
        broken.setattr(tracking.runs, "log_records", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tracking.log_candidate(settings, parent, candidate())
    child = tracking.log_candidate(settings, parent, candidate())
    client = prepare_store(settings)
    found = client.search_runs([client.get_run(parent).info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'")
    assert [run.info.run_id for run in found] == [child]
    assert len(client.get_metric_history(child, "epsilon_spent")) == 3


def test_records_and_pictures_are_artifacts_that_read_back(settings, tmp_path):
    of, picture = evidence(settings.home), tmp_path / "quality.png"
    picture.write_bytes(b"\x89PNG")
    parent = tracking.start_training(settings, training(settings))
    tracking.finish_training(settings, parent, outcome(records=(of.verdict, of.statement), pictures=(picture,)))
    client = prepare_store(settings)
    names = [file.path for folder in ("records", "plots") for file in client.list_artifacts(parent, folder)]
    assert names == [
        "records/dataset.json",
        "records/privacy-statement.json",
        "records/training-request.json",
        "records/verdict.json",
        "plots/quality.png",
    ]
    assert Verdict.read(Path(client.download_artifacts(parent, "records/verdict.json"))) == of.verdict


@pytest.mark.slow
def test_the_machines_use_is_measured_while_a_training_works(settings):
    import time

    parent = tracking.start_training(settings, training(settings))
    with tracking.measured(settings, parent, every_seconds=0.2):
        time.sleep(1.5)
    metrics = prepare_store(settings).get_run(parent).data.metrics
    assert metrics["system/cpu_utilization_percentage"] >= 0
    assert metrics["system/system_memory_usage_megabytes"] > 0


def test_a_tree_is_flattened_with_dots():
    assert flat({"a": {"b": {"c": 1}}, "d": (1, 2), "e": None}) == {"a.b.c": "1", "d": "[1, 2]", "e": "None"}


def test_a_figure_that_is_no_number_is_not_logged_and_the_others_are(settings):
    parent = tracking.start_training(settings, training(settings))
    figures = {
        "auc": Interval(value=0.8, low=0.7, high=float("inf")),
        "ndcg_at_100": Interval(value=0.2, low=0.1, high=0.3),
    }
    child = tracking.log_candidate(settings, parent, candidate(metrics=figures, losses=(float("nan"), 0.5)))
    ceiling = tracking.log_ceiling(settings, parent, "ease", {"auc": float("nan"), "ndcg_at_100": 0.3})
    client = prepare_store(settings)
    logged = [client.get_run(run).data.metrics for run in (child, ceiling)]
    assert all(math.isfinite(figure) for metrics in logged for figure in metrics.values())
    assert {"auc", "auc_low", "loss", "ndcg_at_100_high"} <= set(logged[0])
    assert set(logged[1]) == {"ndcg_at_100"}


def test_a_run_says_on_which_users_its_figures_are(settings):
    parent = tracking.start_training(settings, training(settings))
    lost = tracking.log_candidate(settings, parent, candidate(split="validation"))
    run = prepare_store(settings).get_run(lost)
    assert run.info.run_name == "autoencoder · ε=2.9 · validation users"
    assert run.data.tags["jali.split"] == "validation"


@pytest.mark.slow
def test_the_comparison_is_of_what_lies_beneath_one_training_alone(settings):
    parent = tracking.start_training(settings, training(settings))
    floor = tracking.log_candidate(settings, parent, candidate(name="popularity", personal=False))
    personal = tracking.log_candidate(settings, parent, candidate(name="gram"))
    other = tracking.start_training(settings, replace(training(settings), key="o" * 64))
    tracking.log_candidate(settings, other, candidate())
    page = tracking.comparison(settings, parent)
    asked = parse_qs(urlsplit(page).fragment.partition("?")[2])
    assert page.startswith(f"http://127.0.0.1:{settings.mlflow_port}/#/compare-runs?")
    assert json.loads(asked["runs"][0]) == [floor, personal]

"""`jali tune recommend` on a tiny shop: free where it is public, charged and verified where it is people's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import mlflow
import pytest
from click.testing import CliRunner
from prefect.client.orchestration import SyncPrefectClient

from components.cli import jali
from components.core import params, settings
from components.core.errors import BudgetExhausted
from components.core.settings import Settings
from components.stages import collect, prepare, split, workspace
from components.stages.check import check
from components.stages.run import Run
from flows.setup import _limit as set_limit
from flows.tasks import TRAININGS

CHECKOUT = Path(__file__).parents[2]
SHOP = {"kind": "shop", "users": 500, "items": 100, "seed": 3}
GRID = {"gram": {"gram.ridge": [3.0, 30.0], "gram.spread": [0.5, 1.0]}}


@pytest.fixture(scope="module")
def prepared(server: Settings, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Run]:
    """A workspace with a dataset of the tiny shop, made once where it is public and once where it is people's."""

    @cache
    def made(public: bool) -> Run:
        root = tmp_path_factory.mktemp("tune") / "workspace"
        root.mkdir()
        (root / "expectations").symlink_to(CHECKOUT / "expectations")
        chosen = params.load(CHECKOUT / "params.yaml").but(
            source="shop",
            window={"start": "2024-01-01", "end": "2024-04-30"},
            sources={"shop": {**SHOP, "public": public}},
            tuning={"grids": {"recommend": GRID}},
        )
        chosen = chosen.model_copy(update={"services": {"recommend": {"columns": 40}}})
        chosen.write(root.parent / "params.yaml")
        with pytest.MonkeyPatch.context() as patch:
            told(patch, server, root.parent)
            run = Run(root=root, params=chosen, settings=settings.load())
            collect.collect(run)
            check(run)
            prepare.prepare(run)
            split.split(run)
        return run

    return made


def told(patch: pytest.MonkeyPatch, server: Settings, root: Path) -> None:
    for name, value in {"HOME": root / "home", "ROOT": root, "PREFECT_PORT": server.prefect_port}.items():
        patch.setenv(f"JALI_{name}", str(value))


@pytest.fixture
def shop(
    prepared: Callable[[bool], Run], server: Settings, client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Run]:
    """The workspace of one kind, which the flow opens instead of the checkout's."""
    set_limit(client, TRAININGS, 1)

    def opened(public: bool, **changes: Any) -> Run:
        run = prepared(public)
        told(monkeypatch, server, run.root.parent)
        run = replace(run, params=run.params.but(**changes))
        monkeypatch.setattr(workspace, "open_training", lambda source=None, epsilon=None: run)
        return run

    return opened


def tune(*options: str) -> dict[str, Any]:
    done = CliRunner().invoke(jali, ["tune", "recommend", "--json", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout.splitlines()[-1]))


def tasks(client: SyncPrefectClient) -> list[str]:
    """The steps of the last flow run of a search, by name."""
    from prefect.client.schemas.filters import FlowFilter, FlowFilterName, FlowRunFilter, FlowRunFilterId

    searches = FlowFilter(name=FlowFilterName(any_=["tune"]))  # and none that waits for its hour
    [last] = client.read_flow_runs(flow_filter=searches, sort="START_TIME_DESC", limit=1)  # type: ignore[arg-type]

    found = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[last.id])))
    return sorted(one.name for one in found)


@pytest.mark.slow
def test_on_a_public_shop_each_trial_is_a_task_and_a_run_and_nothing_is_charged(
    shop: Callable[..., Run], client: SyncPrefectClient
) -> None:
    run = shop(public=True)
    found = tune("--trials", "2")
    assert (found["public"], found["trials"], found["candidate"]) == (True, 2, "gram")
    assert found["changes"]["gram.ridge"] in GRID["gram"]["gram.ridge"]
    assert 0 < found["score"] < 1
    assert run.ledger().accounts() == []
    assert tasks(client).count("try one") == 2
    where = mlflow.MlflowClient(run.settings.mlflow_uri)
    experiment = where.get_experiment_by_name("recommend")
    assert experiment is not None
    runs = where.search_runs([experiment.experiment_id])
    parents = [one for one in runs if one.data.tags["jali.kind"] == "search"]
    below = [one for one in runs if one.data.tags.get("mlflow.parentRunId") == parents[0].info.run_id]
    assert (len(parents), len(below)) == (1, 2)
    assert max(one.data.metrics["ndcg_at_100"] for one in below) == found["score"]


@pytest.mark.slow
def test_on_peoples_rows_the_search_is_one_task_charged_in_the_ledger_and_verified(
    shop: Callable[..., Run], client: SyncPrefectClient
) -> None:
    run = shop(public=False)
    found = tune("--trials", "4")
    assert (found["public"], found["trials"]) == (False, None)
    assert found["epsilon"] == {"train": 3.0, "validation": 2.0}
    ledger = run.ledger()
    ledger.verify()
    searches = [hold for hold in ledger.holds() if hold.release.mechanism == "search"]
    assert [(hold.release.split, hold.stage) for hold in searches] == [("train", "settled"), ("validation", "settled")]
    assert {hold.release.digest for hold in searches} == set(found["releases"].values())
    steps = tasks(client)
    assert steps.count("search") == 1
    assert "try one" not in steps
    shown = CliRunner().invoke(jali, ["ledger", "show", "--releases"], catch_exceptions=False)
    assert shown.exit_code == 0
    assert shown.output.count("best_of poisson expected=4, choices=1") == 2
    before = ledger.head
    assert tune("--trials", "4") == found
    assert run.ledger().head == before, "asked again it costs nothing"


@pytest.mark.slow
def test_on_peoples_rows_a_search_beyond_the_budget_is_refused_and_nothing_is_spent(shop: Callable[..., Run]) -> None:
    run = shop(public=False, training={"epsilon": 12.0})
    before = run.ledger().head
    with pytest.raises(BudgetExhausted, match="does not fit"):
        CliRunner().invoke(jali, ["tune", "recommend"], catch_exceptions=False, standalone_mode=False)
    assert run.ledger().head == before

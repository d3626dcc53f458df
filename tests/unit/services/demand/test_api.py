"""The endpoint: what is asked is answered in whole numbers of sense, and what makes none is one sentence."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from components.core import digest
from components.services.demand import SERVICE
from components.services.demand.bundle import read_bundle, write_bundle
from components.serving.app import create
from tests.unit.services.demand.shop import bundle_of
from tests.unit.serving.toy import Client, HandTurned, champion, for_service


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    folder = tmp_path_factory.mktemp("demand")
    write_bundle(folder / "bundle", bundle_of(folder / "public", sigma=2.0))
    one = replace(champion(folder, 3), bundle=folder / "bundle", bundle_digest=digest.of_path(folder / "bundle"))
    made = create((SERVICE,), HandTurned(demand=for_service("demand", one)))
    made.state.rollout.refresh()
    return Client(made)


def ask(client: Client, **query: Any) -> Any:
    return client.get(f"/v1/demand?{urlencode(query, doseq=True)}")


def answer(client: Client, **query: Any) -> dict[str, Any]:
    found = ask(client, **query)
    assert found.status_code == 200, found.text
    return found.json()  # type: ignore[no-any-return]


def test_weeks_follow_the_last_day_and_quantiles_are_in_order(client: Client) -> None:
    found = answer(client, weeks=3, quantiles=[0.05, 0.5, 0.95])
    assert [period["start"] for period in found["periods"]] == ["2000-11-27", "2000-12-04", "2000-12-11"]
    for period in found["periods"]:
        low, middle, high = period["quantiles"]
        assert low < middle < high
        # Units of the trained four fifths, of which the bounds left four fifths, are made whole.
        assert period["mean"] == pytest.approx(350 * 1.25 / 0.8, rel=0.1)


def test_a_part_is_less_than_the_whole_and_less_certain_for_its_size(client: Client) -> None:
    whole, category = answer(client), answer(client, category="c0")
    item, site = answer(client, item="i0"), answer(client, category="c0", site="here")
    means = [found["periods"][0]["mean"] for found in (whole, category, item)]
    assert means[0] > means[1] > means[2] > 0
    spread = [(f["periods"][0]["quantiles"][2] / f["periods"][0]["mean"]) for f in (whole, category, item)]
    assert spread == sorted(spread)
    assert site["periods"][0]["mean"] == pytest.approx(0.5 * means[1], rel=0.1)


def test_a_longer_lead_time_and_a_dearer_shortage_order_more(client: Client) -> None:
    orders = [
        answer(client, lead_time_days=days, shortage_cost=dear)["reorder"]["quantity"]
        for days, dear in ((7, 4), (14, 4), (14, 40))
    ]
    assert orders == sorted(orders)
    assert orders[0] < orders[1] < orders[2]
    assert answer(client, stock=1e9)["reorder"]["quantity"] == 0


@pytest.mark.parametrize("days", [1, 3, 7, 10, 84])
def test_what_is_ordered_for_some_days_is_what_those_days_are_said_to_sell(client: Client, days: int) -> None:
    found = answer(client, by="day", weeks=12, lead_time_days=days)
    assert found["reorder"]["demand_mean"] == pytest.approx(sum(day["mean"] for day in found["periods"][:days]))


def test_it_says_where_the_figures_come_from(client: Client) -> None:
    because = answer(client, item="i0")["because"]
    assert len(because["history"]) == 12
    assert because["privacy_noise"] > 0
    assert because["bounded_share"] == pytest.approx(0.8, abs=0.02)
    assert sum(because["variance"].values()) == pytest.approx(1)
    assert all(share >= 0 for share in because["variance"].values())


@pytest.mark.parametrize(
    "query",
    [
        {"category": "no such one"},
        {"item": "no such one"},
        {"site": "no such one"},
        {"site": " "},
        {"item": ""},
        {"item": "x" * 501},
        {"category": "\u202e\u05d0\u05d1 \U0001f9c0"},
        {"item": "\x00\x01\x7f"},
        {"item": "i0", "category": "c0"},
        {"weeks": 0},
        {"weeks": 13},
        {"weeks": "many"},
        {"by": "month"},
        {"quantiles": [1.5]},
        {"quantiles": ["nan"]},
        {"quantiles": [0.5] * 10},
        {"stock": "nan"},
        {"stock": "inf"},
        {"stock": -1},
        {"stock": "1e400"},
        {"lead_time_days": 1.5},
        {"lead_time_days": 10**30},
        {"holding_cost": 0},
        {"shortage_cost": "-inf"},
        {"history": ["i0"] * 1000},
        {"unknown": 1},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_one_sentence_that_repeats_none_of_it(
    client: Client, query: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        found = ask(client, **query)
    assert 400 <= found.status_code < 500
    detail = str(found.json()["detail"])
    assert detail.endswith(".")
    assert "\n" not in detail
    logged = " ".join(record.getMessage() for record in caplog.records if record.name != "httpx")  # the asker's own
    said = [str(text) for values in query.values() for text in (values if isinstance(values, list) else [values])]
    for text in said:
        assert len(text) < 4 or (text not in detail and text not in logged)


def test_thousands_of_values_are_refused(client: Client) -> None:
    assert 400 <= ask(client, quantiles=[0.5] * 4_000).status_code < 500


def test_a_bundle_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = bundle_of(tmp_path / "public", sigma=2.0)
    write_bundle(tmp_path / "bundle", made)
    again = read_bundle(tmp_path / "bundle")
    assert again.config == made.config
    np.testing.assert_array_equal(again.future.mean, made.future.mean)
    np.testing.assert_array_equal(again.history, made.history)

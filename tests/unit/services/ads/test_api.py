"""The endpoint: bid times probability, paced by campaign and capped by the user's own history."""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from components.core import digest
from components.services.ads import SERVICE
from components.services.ads.bundle import write_bundle
from components.serving.app import create
from tests.unit.serving.toy import Client, HandTurned, champion, for_service

from .shop import START, trained

EVERY = [f"a{n:02d}" for n in range(12)]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    folder = tmp_path_factory.mktemp("ads")
    write_bundle(folder / "bundle", trained(folder / "made"))
    one = replace(champion(folder, 3), bundle=folder / "bundle", bundle_digest=digest.of_path(folder / "bundle"))
    made = create((SERVICE,), HandTurned(ads=for_service("ads", one)))
    made.state.rollout.refresh()
    return Client(made)


def ranked(client: Client, **body: Any) -> dict[str, Any]:
    found = client.post("/v1/ads/rank", json={"k": 100, **body})
    assert found.status_code == 200, found.text
    return found.json()  # type: ignore[no-any-return]


def names(answer: dict[str, Any]) -> list[str]:
    return [ad["ad"] for ad in answer["ads"]]


def test_ads_are_ranked_by_bid_times_probability(client: Client) -> None:
    found = ranked(client)
    assert sorted(names(found)) == EVERY
    values = [ad["value"] for ad in found["ads"]]
    assert values == sorted(values, reverse=True)
    for ad in found["ads"]:
        assert ad["value"] == pytest.approx(ad["bid"] * ad["probability"])
        assert 0 < ad["probability"] < 1


def test_a_history_makes_the_ads_of_what_it_likes_likelier(client: Client) -> None:
    tea, coffee = (
        {ad["ad"]: ad["probability"] for ad in ranked(client, history=history)["ads"]}
        for history in (["i00", "i02", "i04"], ["i01", "i03", "i05"])
    )
    assert all((tea[ad] > coffee[ad]) == (int(ad[1:]) % 2 == 0) for ad in EVERY)


def test_the_same_items_in_another_order_or_twice_are_the_same_history(client: Client) -> None:
    one = ranked(client, history=["i00", "i02", "i04"])
    assert ranked(client, history=["i04", "i00", "i02", "i00"])["ads"] == one["ads"]


def test_reasons_are_the_largest_contributions(client: Client) -> None:
    for ad in ranked(client, history=["i00", "i02", "i04"])["ads"]:
        sizes = [abs(reason["logit"]) for reason in ad["reasons"]]
        assert 1 <= len(sizes) <= 3
        assert sizes == sorted(sizes, reverse=True)


def test_reasons_and_their_rest_add_up_to_the_score(client: Client) -> None:
    for ad in ranked(client, history=["i00", "i02", "i04"])["ads"]:
        told = sum(reason["logit"] for reason in ad["reasons"]) + ad["rest"]
        assert 1 / (1 + math.exp(-told)) == pytest.approx(ad["probability"], rel=1e-9)


def test_an_ad_that_the_user_has_seen_often_enough_is_not_shown_again(client: Client) -> None:
    twice, thrice = (ranked(client, shown=["a05"] * times) for times in (2, 3))
    assert names(twice) == names(ranked(client))
    assert (twice["capped"], thrice["capped"]) == (0, 1)
    assert names(thrice) == [ad for ad in names(twice) if ad != "a05"]
    assert ranked(client, shown=EVERY * 3)["ads"] == []


def test_a_paced_campaign_falls_and_one_without_budget_is_gone(client: Client) -> None:
    free = {ad["ad"]: ad["value"] for ad in ranked(client)["ads"]}
    slow = {ad["ad"]: ad["value"] for ad in ranked(client, pacing={"c1": 0.25})["ads"]}
    assert {ad for ad in EVERY if slow[ad] == pytest.approx(free[ad] / 4)} == {"a01", "a04", "a07", "a10"}
    assert {ad["campaign"] for ad in ranked(client, pacing={"c1": 0})["ads"]} == {"c0", "c2"}


def test_pacing_changes_no_probability(client: Client) -> None:
    free, paced = (
        {ad["ad"]: ad["probability"] for ad in ranked(client, pacing=pacing)["ads"]} for pacing in ({}, {"c0": 0.1})
    )
    assert free == paced


def test_only_what_is_booked_then_and_there_is_ranked(client: Client) -> None:
    inside, after = START + timedelta(days=1), START + timedelta(days=7)
    assert "a00" in names(ranked(client, at=inside.isoformat()))
    assert "a00" not in names(ranked(client, at=after.isoformat()))
    assert names(ranked(client, placement="detail", k=2)) == names(ranked(client, placement="detail"))[:2]
    assert sorted(names(ranked(client, placement="detail"))) == ["a08", "a09", "a10", "a11"]


def test_what_the_version_does_not_know_of_a_history_is_counted(client: Client) -> None:
    found = ranked(client, history=["no such item", "i00"], shown=["no such ad"] * 5)
    assert found["unknown"] == 6
    assert found["ads"] == ranked(client, history=["i00"])["ads"]


SECRET = "wedding-ring"


@pytest.mark.parametrize(
    "body",
    [
        {"placement": SECRET},
        {"placement": ""},
        {"pacing": {SECRET: 0.5}},
        {"pacing": {"c0": -0.1}},
        {"pacing": {"c0": 1.1}},
        {"pacing": {"c0": "NaN"}},
        {"pacing": {f"{SECRET}-{n}": 1 for n in range(2000)}},
        {"history": SECRET},
        {"history": [SECRET, 7]},
        {"history": [None]},
        {"history": [[SECRET]]},
        {"history": [SECRET] * 100_000},
        {"history": [SECRET * 1000]},
        {"shown": ["a00"] * 100_000},
        {"shown": {"a00": 3}},
        {"k": 0},
        {"k": 101},
        {"k": 1.5},
        {"k": "many"},
        {"k": 10**400},
        {"at": SECRET},
        {"at": "2000-11-06T00:00:00"},
        {"at": 1e300},
        {"user": SECRET},
        {"bid": 10**9},
    ],
    ids=lambda body: next(iter(body)),
)
def test_nonsense_is_refused_in_one_sentence_that_repeats_none_of_it(
    client: Client, body: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        found = client.post("/v1/ads/rank", json=body)
    assert 400 <= found.status_code < 500
    detail = str(found.json()["detail"])
    assert detail.endswith(".")
    assert "\n" not in detail
    assert len(detail) < 1000
    assert SECRET not in found.text + " ".join(record.getMessage() for record in caplog.records)


STRANGE = {
    "empty": "",
    "blank": " ",
    "right to left": "\u202e\u05d0\u05d1",
    "binary": "\x00\x01\x7f",
    "cheese": "\U0001f9c0" * 50,
    "sql": "'; DROP TABLE ads; --",
    "no number": "NaN",
}


@pytest.mark.parametrize("text", STRANGE.values(), ids=STRANGE)
def test_strange_names_in_a_history_are_just_unknown_and_never_written_down(
    client: Client, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        found = ranked(client, history=[text], shown=[text])
    assert found["unknown"] == 2
    assert found["ads"] == ranked(client)["ads"]
    assert len(text) < 3 or text not in " ".join(record.getMessage() for record in caplog.records)


def test_the_longest_history_that_is_taken_is_answered(client: Client) -> None:
    assert len(ranked(client, history=[f"i{n % 12:02d}" for n in range(1000)])["ads"]) == 12


def test_the_story_of_a_demonstration_ends_without_the_ad_that_was_seen_too_often(client: Client) -> None:
    assert SERVICE.story is not None
    told = SERVICE.story(lambda body: {**client.post("/v1/ads/rank", json=dict(body)).json(), "epsilon": 3.0})
    assert told[0].startswith("Somebody")
    assert told[-2].split(":")[0] not in {told[5].split(":")[0]}
    assert "ε" in told[-1]

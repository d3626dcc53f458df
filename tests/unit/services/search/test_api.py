"""The endpoint: answers and why, and bad input as one sentence that is never logged."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.core import digest
from components.services.search import SERVICE
from components.services.search.bundle import Bundle, Popular, write_bundle
from components.services.search.features import NAMES, start
from components.serving.app import create
from tests.unit.serving.toy import Client, HandTurned, champion, for_service

from .shop import bundle

POPULAR = (Popular(phrase="green tea", weight=8.0), Popular(phrase="红茶", weight=4.0))


def personal() -> Bundle:
    floor = bundle({"c1": 9.0, "c2": 8.0})
    weights = start(floor.config.fusion)
    weights[NAMES.index("item")] = 20.0
    config = floor.config.model_copy(update={"kind": "reranker", "candidates": 30, "popular": POPULAR})
    return Bundle(config, {**floor.arrays, "weights": weights}, floor.catalogue)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Client:
    folder = tmp_path_factory.mktemp("search")
    write_bundle(folder / "bundle", personal())
    one = replace(champion(folder, 3), bundle=folder / "bundle", bundle_digest=digest.of_path(folder / "bundle"))
    made = create((SERVICE,), HandTurned(search=for_service("search", one)))
    made.state.rollout.refresh()
    return Client(made)


def answer(client: Client, **query: Any) -> dict[str, Any]:
    found = client.get(f"/v1/search?{urlencode(query, doseq=True)}")
    assert found.status_code == 200, found.text
    return found.json()  # type: ignore[no-any-return]


def listed(found: dict[str, Any]) -> list[str]:
    return [item["item"] for item in found["items"]]


def test_the_asker_s_own_history_decides_between_what_fits_equally(client: Client) -> None:
    assert listed(answer(client, q="dark chocolate"))[:2] == ["c1", "c2"]
    own = answer(client, q="dark chocolate", history=["c2", "c2", "no such item"])
    assert listed(own)[:2] == ["c2", "c1"]
    assert own["unknown"] == 1
    assert own["items"][0]["why"]["history"] > own["items"][1]["why"]["history"] == 0


def test_each_item_is_explained_by_the_words_that_it_has(client: Client) -> None:
    found = answer(client, q="harow chocolate tea")
    assert found["corrected"]
    assert found["understood"] == "harrow chocolate tea"
    why = {item["item"]: item["why"] for item in found["items"]}
    assert why["c2"] == {"words": ["harrow", "chocolate"], "meaning": None, "history": 0.0}
    assert why["t2"]["words"] == ["harrow", "tea"]


def test_nothing_found_is_an_empty_answer(client: Client) -> None:
    found = answer(client, q="zzzzzzz", k=5)
    assert (found["items"], found["suggestions"]) == ([], [])


def test_suggestions_are_the_released_phrases(client: Client) -> None:
    assert answer(client, q="gre")["suggestions"] == ["green tea"]
    assert answer(client, q="红")["suggestions"] == ["红茶"]


@pytest.mark.parametrize(
    "text",
    [
        "שוקולד מריר",
        "\u202eetalocohc\u202c",
        "👩‍👩‍👧‍👦 tea",
        "乌龙茶",
        "a" * 200,
        "\ufefftea",
        "%00tea",
        "'; DROP TABLE",
    ],
)
def test_odd_text_is_searched_for_like_any_other(client: Client, text: str) -> None:
    assert isinstance(answer(client, q=text)["items"], list)


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"q": ""},
        {"q": "   "},
        {"q": "?!…"},
        {"q": "tea\x00secretive"},
        {"q": "secretive\ntea"},
        {"q": "secretive" * 30},
        {"q": "tea", "k": 0},
        {"q": "tea", "k": 101},
        {"q": "tea", "k": "secretive"},
        {"q": "tea", "k": "nan"},
        {"q": "tea", "k": "1e400"},
        {"q": "tea", "language": "secretive"},
        {"q": "tea", "history": ["secretive"] * 201},
        {"q": "tea", "history": "secretive" * 30},
        {"q": "tea", "user": "secretive"},
    ],
    ids=str,
)
def test_what_cannot_be_searched_for_is_one_sentence_that_repeats_none_of_it(
    client: Client, query: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        found = client.get(f"/v1/search?{urlencode(query, doseq=True)}")
    assert found.status_code == 422
    detail = str(found.json()["detail"])
    assert detail.endswith(".")
    assert "\n" not in detail
    logged = " ".join(record.getMessage() for record in caplog.records if record.name != "httpx")  # the asker's own
    assert "secretive" not in detail + logged


def test_a_history_of_a_hundred_thousand_is_refused_before_it_is_read(client: Client) -> None:
    many = "&".join(["history=c1"] * 5_000)  # a client's own limit; the service reads 8 KiB of an address at most
    assert client.get(f"/v1/search?q=tea&{many}").status_code == 414


def test_no_query_is_logged(
    client: Client, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer(client, q="pregnancy tset", history=["c1"])
    logged = " ".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    printed = capfd.readouterr()
    assert not any(word in logged + printed.out + printed.err for word in ("pregnancy", "tset"))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    query=st.dictionaries(
        st.sampled_from(["q", "k", "history", "language", "x"]), st.text() | st.floats().map(str)
    ).map(urlencode)
    | st.binary(max_size=60).map(lambda raw: quote(raw, safe="=&"))
)
def test_whatever_is_asked_the_answer_is_an_answer_or_one_sentence(client: Client, query: str) -> None:
    found = client.get(f"/v1/search?{query}")
    assert found.status_code in (200, 422)
    assert found.status_code == 200 or len(str(found.json()["detail"])) < 300


def test_its_story_is_told_by_the_served_answers(client: Client) -> None:
    lines = SERVICE.story(lambda asked: answer(client, **asked)) if SERVICE.story else []
    assert lines[1].startswith("  c1 Foxglove Dark Chocolate")
    assert lines[5].startswith("  c2 Harrow Dark Chocolate")
    assert any('understood as "dark chocolate"' in line for line in lines)


def test_a_bundle_is_read_as_it_was_written(tmp_path: Path) -> None:
    from components.services.search.bundle import read_bundle

    made = personal()
    write_bundle(tmp_path / "bundle", made)
    again = read_bundle(tmp_path / "bundle")
    assert again.config == made.config
    assert again.catalogue.table.equals(made.catalogue.table)
    assert all((again.arrays[name] == array).all() for name, array in made.arrays.items())

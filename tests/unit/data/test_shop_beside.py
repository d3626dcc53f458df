"""What the simulated shop has beside visits: ads with known probabilities, ranks, sites, offers and messages."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from components.core.params import Source, Window
from components.data.collect import collect
from components.data.shop import Happened, ShopOptions, ad_truth, adverts, happen, world
from components.data.shop.advertising import OFFER, PLACEMENTS, PLACES
from components.data.shop.messages import INTENTS, order_number
from components.data.shop.ranks import SITES
from components.data.shop.sentences import OUT_OF_SCOPE, SENTENCES
from components.data.sources import open_source

OPTIONS = ShopOptions(users=4_000, items=500, days=90)
SHOP = world(OPTIONS)


@pytest.fixture(scope="module")
def groups() -> list[Happened]:
    return list(happen(OPTIONS, SHOP))


@pytest.fixture(scope="module")
def events(groups: list[Happened]) -> pa.Table:
    return pa.concat_tables(group.events for group in groups)


@pytest.fixture(scope="module")
def messages(groups: list[Happened]) -> pa.Table:
    return pa.concat_tables(group.messages for group in groups)


def _of(events: pa.Table, *kinds: str) -> pa.Table:
    return events.filter(pc.is_in(events["event"], pa.array(kinds)))


def _auc(probability: np.ndarray, clicked: np.ndarray) -> float:
    ranks = np.empty(len(probability))
    ranks[np.argsort(probability)] = np.arange(1, len(probability) + 1)
    ones = int(clicked.sum())
    return float((ranks[clicked].sum() - ones * (ones + 1) / 2) / (ones * (len(clicked) - ones)))


def test_the_truth_about_impressions_is_that_of_the_events(groups: list[Happened]) -> None:
    ads = adverts(OPTIONS, SHOP).table["ad"].to_pylist()
    for number, group in enumerate(groups):
        told = ad_truth(OPTIONS, SHOP, number)
        shown, clicks = _of(group.events, "impression"), _of(group.events, "ad_click")
        assert shown["ad"].to_pylist() == [ads[ad] for ad in told.ad]
        assert shown["position"].to_pylist() == told.position.tolist()
        assert clicks["ad"].to_pylist() == [ads[ad] for ad in told.ad[told.clicked]]


def test_clicks_are_as_likely_as_the_truth_says_and_it_tells_them_apart() -> None:
    told = [ad_truth(OPTIONS, SHOP, group) for group in range(2)]
    probability = np.concatenate([one.probability for one in told])
    clicked = np.concatenate([one.clicked for one in told])
    assert 0.02 < clicked.mean() < 0.06
    deviation = np.sqrt((probability * (1 - probability)).sum())
    assert abs(clicked.sum() - probability.sum()) < 4 * deviation
    assert 0.7 < _auc(probability, clicked) < 0.85
    for low, high in ((0, 0.02), (0.02, 0.05), (0.05, 0.1), (0.1, 1)):
        among = (probability >= low) & (probability < high)
        assert clicked[among].mean() == pytest.approx(probability[among].mean(), rel=0.15)


def test_what_is_shown_does_not_look_at_the_user_and_the_user_decides_what_is_clicked() -> None:
    told = ad_truth(OPTIONS, SHOP)
    often = np.bincount(told.user)
    assert 20 < often.mean() < 60
    assert often.max() > 5 * np.median(often)
    first, later = told.probability[told.position == 1], told.probability[told.position == 4]
    assert first.mean() > 1.5 * later.mean()
    pages = np.flatnonzero(told.position == 1)
    assert all(len(set(page)) == len(page) for page in np.split(told.ad, pages[1:]))


def test_an_ad_is_shown_in_its_placement_and_window_only(events: pa.Table) -> None:
    booked = adverts(OPTIONS, SHOP).table
    shown = _of(events, "impression").select(["ad", "ts", "position"]).join(booked, "ad")
    places = {name: int(PLACES[n]) for n, name in enumerate(PLACEMENTS)}
    assert set(shown["placement"].to_pylist()) == set(PLACEMENTS)
    for row in shown.to_pylist():
        assert row["starts"] is None or row["starts"] <= row["ts"] < row["ends"]
        assert 1 <= row["position"] <= places[row["placement"]]


def test_a_click_on_an_ad_follows_its_impression_in_the_same_session_and_place(events: pa.Table) -> None:
    keys = ["user", "session", "ad", "position"]
    shown, clicked = _of(events, "impression"), _of(events, "ad_click")
    first = shown.group_by(keys).aggregate([("ts", "min")])
    joined = clicked.select([*keys, "ts"]).join(first, keys)
    assert joined["ts_min"].null_count == 0
    assert pc.all(pc.greater(joined["ts"], joined["ts_min"])).as_py()
    assert shown["item"].null_count == len(shown)


def test_offers_are_public_and_say_what_a_forecaster_needs() -> None:
    table = adverts(OPTIONS, SHOP).table
    offers = table.filter(pc.equal(table["placement"], OFFER)).to_pylist()
    full = dict(zip(SHOP.catalogue.table["item"].to_pylist(), SHOP.catalogue.table["price"].to_pylist(), strict=True))
    names = SHOP.catalogue.table["item"].to_pylist()
    assert len(offers) == int((SHOP.prices < np.array(list(full.values()))).sum())
    for offer in offers[::7]:
        month = (offer["starts"].timetuple().tm_yday - 1) // 30
        paid = SHOP.prices[month, names.index(offer["item"])]
        percent = int(offer["campaign"].split("%")[0])
        assert paid == pytest.approx(full[offer["item"]] * (1 - percent / 100), abs=0.5)
        assert (offer["ends"] - offer["starts"]).days == 30
        assert offer["bid"] is None


def test_only_a_click_that_follows_a_search_has_a_rank(events: pa.Table) -> None:
    looks = events.filter(pc.invert(pc.is_in(events["event"], pa.array(["impression", "ad_click"]))))
    ranked = looks.filter(pc.is_valid(looks["position"]))
    assert set(ranked["event"].to_pylist()) == {"click"}
    searched = set(_of(events, "search")["session"].to_pylist())
    assert set(ranked["session"].to_pylist()) <= searched
    ranks = ranked["position"].to_numpy()
    assert len(ranks) > 0.6 * len(searched)
    assert ranks.min() == 1
    assert np.median(ranks) < 5 < ranks.max()


def test_people_buy_at_their_home_site_and_return_where_they_bought(events: pa.Table) -> None:
    sold = _of(events, "purchase", "return")
    assert set(sold["site"].to_pylist()) == set(SITES)
    assert events["site"].null_count == len(events) - len(sold)
    by_session = sold.group_by("session").aggregate([("site", "count_distinct")])
    assert set(by_session["site_count_distinct"].to_pylist()) == {1}
    visits = sold.group_by(["user", "session"]).aggregate([("site", "min")]).to_pandas()
    often = visits.groupby("user")["site_min"].agg(lambda sites: sites.value_counts().iloc[0] / len(sites))
    assert often[visits.groupby("user").size() > 5].mean() > 0.8


def test_some_write_a_few_messages_of_every_intent_after_a_purchase_of_theirs(
    events: pa.Table, messages: pa.Table
) -> None:
    counts = messages.group_by("user").aggregate([([], "count_all")])["count_all"].to_numpy()
    assert len(counts) / OPTIONS.users == pytest.approx(0.15, abs=0.02)
    assert set(counts) == {1, 2, 3, 4}
    assert set(messages["intent"].to_pylist()) == set(INTENTS)
    assert len(INTENTS) == 13
    assert OUT_OF_SCOPE in INTENTS
    assert 0.1 < np.mean([language == "de" for language in messages["language"].to_pylist()]) < 0.2
    assert len(set(messages["message"].to_pylist())) == len(messages)
    assert len(set(messages["text"].to_pylist())) > 0.9 * len(messages)
    first = _of(events, "purchase").group_by("user").aggregate([("ts", "min")])
    joined = messages.select(["user", "ts"]).join(first, "user")
    assert np.mean(pc.greater(joined["ts"], joined["ts_min"]).to_numpy()) > 0.95
    assert joined["ts_min"].null_count == 0


def test_an_order_number_in_a_message_is_that_of_a_visit_of_its_writer(events: pa.Table, messages: pa.Table) -> None:
    bought = _of(events, "purchase")
    orders: dict[str, set[str]] = {}
    for user, session in zip(bought["user"].to_pylist(), bought["session"].to_pylist(), strict=True):
        orders.setdefault(user, set()).add(order_number(session))
    named = [row for row in messages.to_pylist() if "JS-" in row["text"]]
    own = [any(order in row["text"] for order in orders[row["user"]]) for row in named]
    assert len(named) > 50
    assert all(own)


def test_every_sentence_has_slots_that_are_filled_and_no_two_intents_share_one(messages: pa.Table) -> None:
    assert not any("{" in text for text in messages["text"].to_pylist())
    sentences = [text for intent in SENTENCES.values() for language in intent.values() for text in language]
    assert len(sentences) == len(set(sentences))


def test_the_source_brings_the_four_tables_and_no_name_of_a_shopper(tmp_path: Path) -> None:
    source = Source.model_validate({"kind": "shop", "public": True, "users": 60, "items": 100})
    out = tmp_path / "raw"
    collect(open_source(source, tmp_path), source, Window(), "quarter", tmp_path / "home", out)
    found = {name: pq.read_table(out / f"{name}.parquet") for name in ("events", "items", "ads", "messages")}
    assert all(table.num_rows for table in found.values())
    assert pq.read_metadata(out / "quarantine.parquet").num_rows == 0
    assert set(found["messages"]["user"].to_pylist()) <= set(found["events"]["user"].to_pylist())
    assert all(len(user) == 32 for user in found["messages"]["user"].to_pylist())


def test_messages_alone_are_those_that_go_with_the_events() -> None:
    source = Source.model_validate({"kind": "shop", "users": 60, "items": 100})
    alone, beside = open_source(source, Path()), open_source(source, Path())
    list(beside.events(Window()))
    texts = [
        [text for batch in reader.messages(Window()) for text in batch.rows["text"].to_pylist()]
        for reader in (alone, beside)
    ]
    assert texts[0] == texts[1]
    assert texts[0]

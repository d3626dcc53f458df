"""The simulated shop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.core import digest
from components.core.errors import Misconfigured
from components.core.params import Source
from components.data.shop import FITTED, VERSION, ShopOptions, adverts, happen, simulate, truth, world
from components.data.shop.tastes import draw_companions
from components.data.sources import open_source

OPTIONS = ShopOptions(users=3_000, items=500, days=90)
FROZEN = {
    2: "d7c6314ab821c3eee4d9be8e16f85a244ed2365fe60054c2a4a4b32c7c5f59a1",
    3: "8bbbe6fbb7d17f7f37f695fbc2328e2a756ad2cb5c759ca441791c1d2ad13ba5",
}
"""What 500 users with 200 items and 60 days are by the version of the simulator: see the test that reads it."""


@pytest.fixture(scope="module")
def events() -> pa.Table:
    return pa.concat_tables(list(simulate(OPTIONS, world(OPTIONS))))


def test_equal_options_give_equal_events(events: pa.Table) -> None:
    assert pa.concat_tables(list(simulate(OPTIONS, world(OPTIONS)))).equals(events)


SMALL = ShopOptions(users=500, items=200, days=60, seed=11)


def _digest(*tables: pa.Table) -> str:
    cells = [[[str(cell) for cell in column.to_pylist()] for column in table.columns] for table in tables]
    return digest.of_json(cells)


def test_what_people_do_is_what_the_fitted_version_drew_to_the_bit() -> None:
    shop = world(SMALL)
    (events,) = simulate(SMALL, shop)
    seen = events.filter(pc.is_in(events["event"], pa.array(["impression", "ad_click"])))
    done = events.filter(pc.invert(pc.is_in(events["event"], pa.array(["impression", "ad_click"]))))
    columns = ["user", "session", "ts", "event", "item", "query", "quantity", "unit_price"]
    assert _digest(shop.catalogue.table, done.select(columns)) == FROZEN[FITTED]
    assert seen.num_rows


def test_a_version_is_frozen() -> None:
    shop = world(SMALL)
    (happened,) = happen(SMALL, shop)
    found = _digest(shop.catalogue.table, adverts(SMALL, shop).table, happened.events, happened.messages)
    assert found == FROZEN.get(VERSION), (
        f"The simulator's events changed, and figures were measured on version {VERSION}: take the change back, or set "
        f"VERSION in components/data/shop to {VERSION + 1} and add {VERSION + 1}: {found!r} here."
    )


def test_another_version_is_another_world(events: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.data.shop.VERSION", VERSION + 1)
    assert not pa.concat_tables(list(simulate(OPTIONS, world(OPTIONS)))).equals(events)


def test_another_seed_gives_other_events(events: pa.Table) -> None:
    other = OPTIONS.model_copy(update={"seed": 8})
    assert not pa.concat_tables(list(simulate(other, world(other)))).equals(events)


def test_every_user_buys_and_every_kind_of_event_happens(events: pa.Table) -> None:
    bought = events.filter(pc.equal(events["event"], "purchase"))
    assert len(bought["user"].unique()) == OPTIONS.users
    kinds = set(events["event"].unique().to_pylist())
    assert kinds == {"search", "view", "click", "cart", "purchase", "return", "impression", "ad_click"}


def test_a_search_has_words_and_hides_what_it_was_after(events: pa.Table) -> None:
    searches = events.filter(pc.equal(events["event"], "search"))
    assert searches["query"].null_count == 0
    assert searches["item"].null_count == len(searches)


def test_nothing_is_bought_unseen(events: pa.Table) -> None:
    def visits(kind: str) -> set[tuple[str, str]]:
        rows = events.filter(pc.equal(events["event"], kind))
        return set(zip(rows["session"].to_pylist(), rows["item"].to_pylist(), strict=True))

    assert visits("return") < visits("purchase") <= visits("cart") <= visits("click") <= visits("view")


def test_events_stay_within_the_days(events: pa.Table) -> None:
    span = pc.min_max(events["ts"])
    days = (span["max"].as_py() - span["min"].as_py()).total_seconds() / 86_400
    assert 80 < days <= OPTIONS.days + 0.05


def test_baskets_and_visits_resemble_ta_fengs() -> None:
    options = ShopOptions(users=4_000, items=20_000)
    events = pa.concat_tables(list(simulate(options, world(options))))
    bought = events.filter(pc.equal(events["event"], "purchase"))
    baskets = bought.group_by("session").aggregate([([], "count_all")])["count_all"].to_numpy()
    visits = bought.group_by("user").aggregate([("session", "count_distinct")])["session_count_distinct"].to_numpy()
    assert np.median(baskets) == pytest.approx(5, abs=1)
    assert np.percentile(baskets, 99) == pytest.approx(33, abs=5)
    assert np.median(visits) == pytest.approx(2, abs=1)
    assert np.percentile(visits, 99) == pytest.approx(24, abs=8)


def test_what_users_buy_follows_their_own_taste_and_not_the_crowds(events: pa.Table) -> None:
    shop = world(OPTIONS)
    likely = truth(OPTIONS, shop)
    assert np.allclose(likely.sum(axis=1), 1)
    bought = events.filter(pc.equal(events["event"], "purchase"))
    users = np.array([int(name.rsplit("-")[-1]) for name in bought["user"].to_pylist()])
    items = np.array([int(name[1:]) for name in bought["item"].to_pylist()])
    users, items = users[users < len(likely)], items[users < len(likely)]
    own = np.log(likely[users, items]).mean()
    crowd = np.log(likely.mean(axis=0)[items]).mean()
    assert own > crowd + 0.3


def _bought(events: pa.Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = events.filter(pc.equal(events["event"], "purchase"))
    users, items = (
        np.array([int(name.lstrip("I").rsplit("-")[-1]) for name in rows[column].to_pylist()])
        for column in ("user", "item")
    )
    return users, rows["session"].to_numpy(), items


def test_a_companion_is_of_the_same_line_and_the_popular_ones_come_more_often() -> None:
    shop = world(ShopOptions(items=5_000))
    line = shop.catalogue.line
    largest = int(np.argmax(np.bincount(line)))
    asked = np.full(20_000, np.flatnonzero(line == largest)[0])
    drawn = draw_companions(shop, asked, np.random.default_rng(0))
    assert (line[drawn] == largest).all()
    every = np.arange(5_000)
    assert (line[draw_companions(shop, every, np.random.default_rng(1))] == line).all()
    counts = np.bincount(drawn, minlength=5_000)[line == largest]
    assert counts.max() > 2 * len(drawn) / len(counts)


def test_people_come_back_to_what_they_took_more_than_their_taste_alone_says(
    events: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    def repeated(table: pa.Table) -> float:
        users, visits, items = _bought(table)
        pairs = users * OPTIONS.items + items
        return 1 - len(np.unique(pairs)) / len(np.unique(np.char.add(visits.astype(str), items.astype(str))))

    with_habit = repeated(events)
    monkeypatch.setattr("components.data.shop.visits._AGAIN", 0.0)
    assert with_habit > repeated(pa.concat_tables(list(simulate(OPTIONS, world(OPTIONS))))) + 0.01


def test_who_comes_more_often_takes_less_at_a_time(events: pa.Table) -> None:
    users, visits, _ = _bought(events)
    _, first, size = np.unique(visits.astype(str), return_index=True, return_counts=True)
    often = np.bincount(users[first])[users[first]]
    assert np.log(size[often >= 8]).mean() < np.log(size[often <= 2]).mean() - 0.1


def test_offers_lower_a_price_and_sell_more(events: pa.Table) -> None:
    shop = world(OPTIONS)
    full = np.asarray(shop.catalogue.table["price"].to_numpy())
    bought = events.filter(pc.equal(events["event"], "purchase"))
    paid = bought["unit_price"].to_numpy()
    listed = full[[int(name[1:]) for name in bought["item"].to_pylist()]]
    assert (paid <= listed).all()
    assert (paid < listed).mean() > (shop.prices < full).mean() * 1.2


def test_items_have_titles_of_their_own_and_three_levels_of_category() -> None:
    items = world(OPTIONS).catalogue.table
    assert len(items["title"].unique()) == OPTIONS.items
    assert all(path.count("/") == 2 for path in items["category"].to_pylist())


def test_an_unknown_option_is_refused_with_the_allowed_ones(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"unknown key people .*users"):
        open_source(Source.model_validate({"kind": "shop", "people": 5}), tmp_path)

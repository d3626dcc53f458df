"""What services read of a user beside interactions is the user's own, the latest, each once, and bounded."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.params import Prepare, Split
from components.data.activity import KINDS, extend
from components.data.blocks import name_of
from components.data.split import PRIVATE, split
from components.data.tables import ADS, EVENTS, INTERACTIONS, ITEMS, MESSAGES

USERS = [f"{number:02x}" * 16 for number in range(8, 200, 8)]
START = datetime(2024, 2, 1, tzinfo=UTC)
LIMITS = Prepare(max_events_per_user=4, max_messages_per_user=2)

lines = st.lists(
    st.tuples(
        st.sampled_from(USERS[:4]),
        st.sampled_from(["view", *KINDS]),
        st.integers(0, 200),
        st.sampled_from(["i1", "i2", None]),
        st.integers(1, 3),
    ),
    max_size=40,
)


def events_of(drawn: list[tuple[str, str, int, str | None, int]]) -> list[dict[str, Any]]:
    return [
        {"user": user, "event": kind, "ts": START + timedelta(days=day), "item": item, "position": position}
        for user, kind, day, item, position in drawn
    ]


def prepared(
    folder: Path,
    events: list[dict[str, Any]],
    messages: list[dict[str, Any]] | None = None,
    blocks: tuple[str, ...] | None = None,
) -> Path:
    (folder / "checked").mkdir()
    (folder / "prepared").mkdir()
    pq.write_table(pa.Table.from_pylist(events, EVENTS), folder / "checked" / "events.parquet")
    pq.write_table(pa.Table.from_pylist(messages or [], MESSAGES), folder / "checked" / "messages.parquet")
    ads = [{"ad": name, "item": "i1", "placement": "home"} for name in ("b", "a")]
    pq.write_table(pa.Table.from_pylist(ads, ADS), folder / "checked" / "ads.parquet")
    extend(folder / "checked", LIMITS, "quarter", folder / "prepared", blocks=blocks)
    return folder / "prepared"


def activity(events: list[dict[str, Any]], blocks: tuple[str, ...] | None = None) -> list[dict[str, Any]]:
    with TemporaryDirectory() as folder:
        return pq.read_table(prepared(Path(folder), events, blocks=blocks) / "activity.parquet").to_pylist()


@given(lines)
@settings(max_examples=40, deadline=None)
def test_it_is_each_users_latest_distinct_events_with_their_blocks(drawn: list[Any]) -> None:
    rows = activity(events_of(drawn))
    for user in USERS[:4]:
        mine = [row for row in rows if row["user"] == user]
        own = {(e["ts"], e["event"], e["item"], e["position"]) for e in events_of(drawn) if e["user"] == user}
        own = {event for event in own if event[1] != "view"}
        found = {(row["ts"], row["event"], row["item"], row["position"]) for row in mine}
        assert len(mine) == len(found) == min(len(own), LIMITS.max_events_per_user)
        assert found <= own
        left = [event[0] for event in own - found]
        assert not left or max(left) <= min(row["ts"] for row in mine)
        assert [row["ts"] for row in mine] == sorted(row["ts"] for row in mine)
    assert all(row["block"] == name_of(row["ts"], "quarter") for row in rows)
    assert [row["user"] for row in rows] == sorted(row["user"] for row in rows)


@given(lines, st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_it_depends_on_no_other_user_and_not_on_the_order_of_rows(drawn: list[Any], chance: Any) -> None:
    events = events_of(drawn)
    together = activity(chance.sample(events, len(events)))
    alone = activity([event for event in events if event["user"] == USERS[0]])
    assert [row for row in together if row["user"] == USERS[0]] == alone
    assert together == activity(events)


@given(lines, st.sets(st.sampled_from(["2024Q1", "2024Q2", "2024Q3"])))
@settings(max_examples=25, deadline=None)
def test_what_is_done_in_a_block_that_is_not_read_takes_no_place_of_another(drawn: list[Any], read: set[str]) -> None:
    events = events_of(drawn)
    mine = [event for event in events if name_of(event["ts"], "quarter") in read]
    assert activity(events, tuple(read)) == activity(mine)


def message(user: str, number: int) -> dict[str, Any]:
    return {"message": f"{user}-{number}", "user": user, "ts": START + timedelta(days=number), "text": "Where is it?"}


def test_messages_are_the_latest_of_each_user_and_ads_go_along_in_order(tmp_path: Path) -> None:
    out = prepared(tmp_path, [], [message(user, number) for user in USERS[:2] for number in range(5)])
    rows = pq.read_table(out / "messages.parquet").to_pylist()
    assert [row["message"] for row in rows] == [f"{user}-{number}" for user in USERS[:2] for number in (3, 4)]
    assert pq.read_table(out / "ads.parquet")["ad"].to_pylist() == ["a", "b"]
    assert pq.read_table(out / "activity.parquet").num_rows == 0


@pytest.mark.parametrize("name", PRIVATE)
def test_a_user_is_in_the_same_split_in_every_table(tmp_path: Path, name: str) -> None:
    events = [{"user": user, "event": "purchase", "ts": START, "item": "i1"} for user in USERS]
    out = prepared(tmp_path, events, [message(user, 0) for user in USERS])
    rows = [{"user": user, "item": "i1", "category": "c", "weight": 1.0, "block": "2024Q1"} for user in USERS]
    pq.write_table(pa.Table.from_pylist(rows, INTERACTIONS), out / "interactions.parquet")
    pq.write_table(pa.Table.from_pylist([{"item": "i1"}], ITEMS), out / "items.parquet")
    folders = split(out, Split(train=0.5, validation=0.25, test=0.25), tmp_path / "split")
    users = {
        which: set(pq.read_table(folder / f"{name}.parquet")["user"].to_pylist()) for which, folder in folders.items()
    }
    by_interactions = {
        which: set(pq.read_table(folder / "interactions.parquet")["user"].to_pylist())
        for which, folder in folders.items()
    }
    assert users == by_interactions
    assert sorted(user for found in users.values() for user in found) == USERS

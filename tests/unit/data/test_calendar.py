"""The public calendar, from which a service learns the last day without asking people's rows."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core.params import Prepare, Split
from components.data.activity import calendar, extend
from components.data.split import split
from components.data.tables import EVENTS
from tests.unit.data.events import event, prepared
from tests.unit.data.test_split import users

START, END = datetime(2024, 3, 30, tzinfo=UTC), datetime(2024, 4, 3, tzinfo=UTC)


def written(folder: Path, **given: object) -> list[dict[str, object]]:
    folder.mkdir()
    bought = [event(ts=datetime(2024, 3, 31, 23, tzinfo=UTC)), event(ts=datetime(2024, 4, 2, tzinfo=UTC))]
    pq.write_table(pa.Table.from_pylist(bought, EVENTS), folder / "events.parquet")
    extend(folder, Prepare(), "quarter", folder, **given)  # type: ignore[arg-type]
    return pq.read_table(folder / "calendar.parquet").to_pylist()


def test_it_has_every_day_of_the_window_with_its_block() -> None:
    assert calendar(START, END, "quarter").to_pylist() == [
        {"day": date(2024, 3, 30), "block": "2024Q1"},
        {"day": date(2024, 3, 31), "block": "2024Q1"},
        {"day": date(2024, 4, 1), "block": "2024Q2"},
        {"day": date(2024, 4, 2), "block": "2024Q2"},
    ]


def test_a_day_that_the_window_only_begins_is_one_of_its_days() -> None:
    assert calendar(START, datetime(2024, 3, 30, 0, 0, 1, tzinfo=UTC), "day").num_rows == 1


def test_it_follows_from_the_window_whatever_people_did(tmp_path: Path) -> None:
    days = [row["day"] for row in written(tmp_path / "one", window=(START, END))]
    assert days == [date(2024, 3, 30), date(2024, 3, 31), date(2024, 4, 1), date(2024, 4, 2)]


def test_without_a_window_it_reaches_from_the_first_event_to_the_last(tmp_path: Path) -> None:
    days = [row["day"] for row in written(tmp_path / "one")]
    assert days == [date(2024, 3, 31), date(2024, 4, 1), date(2024, 4, 2)]


def test_days_of_blocks_that_are_not_read_are_left_out(tmp_path: Path) -> None:
    rows = written(tmp_path / "one", window=(START, END), blocks=("2024Q2",))
    assert [row["block"] for row in rows] == ["2024Q2", "2024Q2"]


def test_split_passes_it_on_beside_the_shares_of_the_users(tmp_path: Path) -> None:
    prepared(tmp_path, [event(user=user, item="I00") for user in users(60)])
    extend(tmp_path, Prepare(), "quarter", tmp_path / "prepared", window=(START, END))
    split(tmp_path / "prepared", Split(), tmp_path / "split")
    public = tmp_path / "split" / "public"
    assert pq.read_table(public / "calendar.parquet").equals(calendar(START, END, "quarter"))
    shares = pq.read_table(public / "shares.parquet")
    assert shares["split"].to_pylist() == ["train", "validation", "test"]
    assert shares["share"].to_pylist() == pytest.approx([0.8, 0.1, 0.1])

"""Splits by user."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core import digest
from components.core.errors import ContractBroken
from components.core.params import Split
from components.core.records import SPLITS
from components.data.split import private_tables, split
from tests.unit.data.events import event, prepared

READS = ("interactions",)


def users(count: int) -> list[str]:
    return [digest.of_json(n)[:32] for n in range(count)]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    prepared(tmp_path, [event(user=user, item=f"I{n:02d}") for user in users(400) for n in range(2)])
    return tmp_path


def interactions(folder: Path) -> pa.Table:
    return pq.read_table(folder / "interactions.parquet")


def test_shares_are_met_about(workspace: Path) -> None:
    paths = split(workspace / "prepared", Split(), workspace / "split")
    counts = {name: len(interactions(path)["user"].unique()) for name, path in paths.items()}
    assert sum(counts.values()) == 400
    assert counts["train"] == pytest.approx(320, abs=30)
    assert counts["test"] == pytest.approx(40, abs=25)


def test_every_row_of_a_user_is_in_one_split(workspace: Path) -> None:
    paths = split(workspace / "prepared", Split(), workspace / "split")
    tables = {name: interactions(path)["user"].to_pylist() for name, path in paths.items()}
    assert all(column.count(user) == 2 for column in tables.values() for user in set(column))


def test_a_user_stays_in_a_split_whatever_the_other_rows_are(workspace: Path) -> None:
    before = interactions(split(workspace / "prepared", Split(), workspace / "split")["test"])["user"].unique()
    prepared(workspace, [event(user=user, item="I05") for user in users(1000)])
    after = interactions(split(workspace / "prepared", Split(), workspace / "split")["test"])["user"].unique()
    assert set(before.to_pylist()) == set(after.to_pylist()) & set(users(400))


def test_the_items_go_along(workspace: Path) -> None:
    split(workspace / "prepared", Split(), workspace / "split")
    assert digest.of_path(workspace / "split" / "public" / "items.parquet") == digest.of_path(
        workspace / "prepared" / "items.parquet"
    )


def test_an_empty_split_is_refused_and_writes_nothing(tmp_path: Path) -> None:
    prepared(tmp_path, [event()])
    with pytest.raises(ContractBroken, match="split has no user"):
        split(tmp_path / "prepared", Split(), tmp_path / "split")
    assert not (tmp_path / "split").exists()


def test_private_tables_are_named_by_a_keyed_digest_and_tell_nothing(workspace: Path) -> None:
    paths = split(workspace / "prepared", Split(), workspace / "split")
    tables = private_tables(workspace / "split", ("2024Q2",), public=False, key=b"ours", reads=READS)
    assert tuple(tables) == SPLITS
    # A plain digest lets whoever guesses a table confirm the guess, and content keys are published.
    assert {name: table.digest for name, table in tables.items()} == {
        name: digest.keyed(b"ours", digest.of_json({"interactions": digest.of_path(path / "interactions.parquet")}))
        for name, path in paths.items()
    }
    assert all(
        (table.split, table.blocks, table.public) == (name, ("2024Q2",), False) for name, table in tables.items()
    )
    assert str(workspace) not in repr(tables)


def test_another_shops_key_gives_the_same_table_another_name(workspace: Path) -> None:
    split(workspace / "prepared", Split(), workspace / "split")
    ours, theirs = (private_tables(workspace / "split", ("2024Q2",), False, key, READS) for key in (b"ours", b"theirs"))
    assert ours["train"].digest != theirs["train"].digest


def test_a_table_that_changed_after_it_was_named_is_not_opened(workspace: Path) -> None:
    paths = split(workspace / "prepared", Split(), workspace / "split")
    rows = private_tables(workspace / "split", ("2024Q2",), public=True, key=b"ours", reads=READS)["train"].map(
        interactions, name="rows"
    )
    before = interactions(paths["train"])
    assert rows.open_public().equals(before)
    pq.write_table(before.slice(1), paths["train"] / "interactions.parquet")
    with pytest.raises(ContractBroken, match=r"train changed since it was named"):
        rows.open_public()


def test_a_table_that_went_away_after_it_was_named_is_not_opened(workspace: Path) -> None:
    paths = split(workspace / "prepared", Split(), workspace / "split")
    table = private_tables(workspace / "split", ("2024Q2",), public=True, key=b"ours", reads=READS)["test"]
    (paths["test"] / "interactions.parquet").unlink()
    with pytest.raises(ContractBroken, match=r"interactions.parquet is missing"):
        table.open_public()

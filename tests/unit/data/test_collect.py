"""What a collection promises where nothing is wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.core import digest
from components.core.errors import Misconfigured
from components.core.params import Source, Window
from components.data.collect import Collected, window_key
from tests.unit.data.conftest import Collect, order

MAY = Window(start=datetime(2024, 5, 1, tzinfo=UTC), end=datetime(2024, 6, 1, tzinfo=UTC))


def test_no_raw_user_id_is_written_anywhere(collect_csv: Collect) -> None:
    rows = order("Alice Example") + order("Alice Example", when="never") + order("Alice Example", what="odd")
    outcome = collect_csv(rows)
    assert len(outcome.events) == 1
    assert len(outcome.quarantine) == 2
    written = repr(outcome.events) + repr(outcome.quarantine)
    assert "Alice" not in written
    pseudonym = outcome.events[0]["user"]
    assert len(pseudonym) == 32
    assert all(pseudonym in row["row"] for row in outcome.quarantine)


def test_the_same_source_and_window_give_the_same_bytes(collect_csv: Collect) -> None:
    rows = "".join(order(f"u{n}") for n in range(50)) + order(when="never")
    first = collect_csv(rows)
    content = digest.of_path(first.folder)
    assert digest.of_path(collect_csv(rows).folder) == content


def test_rows_outside_the_window_are_left_out_and_its_end_is_outside(collect_csv: Collect) -> None:
    stamps = ["2024-04-30T23:59:59Z", "2024-05-01T00:00:00Z", "2024-05-31T23:59:59Z", "2024-06-01T00:00:00Z"]
    outcome = collect_csv("".join(order(when=stamp) for stamp in stamps), window=MAY)
    assert [row["ts"].day for row in outcome.events] == [1, 31]
    assert outcome.quarantine == []


def test_a_bad_row_outside_the_window_is_left_to_its_own_window(collect_csv: Collect) -> None:
    outcome = collect_csv(order() + order(user="", when="2024-04-01T00:00:00Z"), window=MAY)
    assert outcome.quarantine == []


def test_the_blocks_of_a_closed_window_do_not_depend_on_the_data(collect_csv: Collect) -> None:
    window = Window(start=datetime(2024, 1, 1, tzinfo=UTC), end=datetime(2024, 7, 1, tzinfo=UTC))
    assert collect_csv(order(), window=window).record.blocks == ("2024Q1", "2024Q2")


def test_the_blocks_of_an_open_window_reach_from_the_first_to_the_last_event(collect_csv: Collect) -> None:
    outcome = collect_csv(order(when="2023-09-01T00:00:00Z") + order(when="2024-01-01T00:00:00Z"))
    assert outcome.record.blocks == ("2023Q3", "2023Q4", "2024Q1")


@pytest.mark.parametrize("window", [Window(), Window(start=MAY.start), Window(end=MAY.end)])
def test_a_private_source_needs_a_window_with_both_ends_since_its_blocks_are_published(
    collect_csv: Collect, tmp_path: Path, window: Window
) -> None:
    with pytest.raises(Misconfigured) as caught:
        collect_csv(order(), window=window, public=False)
    for words in ("window.start", "window.end", "params.yaml", "jali run dataset --start"):
        assert words in str(caught.value)
    assert not (tmp_path / "raw").exists()


def test_the_blocks_of_a_private_source_are_those_of_its_window_whoever_is_in_it(collect_csv: Collect) -> None:
    window = Window(start=datetime(2024, 1, 1, tzinfo=UTC), end=datetime(2024, 7, 1, tzinfo=UTC))
    early, late = (
        collect_csv(order(when=when), window=window, public=False).record
        for when in ("2024-01-01T00:00:00Z", "2024-05-31T00:00:00Z")
    )
    assert early.blocks == late.blocks == ("2024Q1", "2024Q2")


def test_the_record_reads_back_and_tells_no_count(collect_csv: Collect) -> None:
    outcome = collect_csv(order() * 7)
    assert Collected.read(outcome.folder / "collected.json") == outcome.record
    assert not any(isinstance(value, int) and value > 1 for value in outcome.record.body().values())


def test_prices_are_kept_in_minor_units(collect_csv: Collect) -> None:
    assert collect_csv(order(rest="A,2,12.99")).events[0]["unit_price"] == 1299


def test_a_currency_without_cents_is_kept_as_it_is(collect_csv: Collect) -> None:
    assert collect_csv(order(rest="A,2,1299"), currency="JPY").events[0]["unit_price"] == 1299


def test_a_decimal_comma_is_read(collect_csv: Collect) -> None:
    row = 'u1,2024-05-01T12:00:00Z,purchase,A,1,"12,5"\n'
    assert collect_csv(row, decimal=",").events[0]["unit_price"] == 1250


def test_a_window_has_a_key_of_its_own() -> None:
    source = Source.model_validate({"kind": "shop", "users": 1000})
    assert window_key(source, MAY) == window_key(source, MAY.model_copy())
    assert window_key(source, MAY) != window_key(source, Window(start=MAY.start))
    assert window_key(source, MAY) != window_key(Source.model_validate({"kind": "shop", "users": 1001}), MAY)


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "tsv", "parquet"])
def test_every_kind_of_file_reads_alike(collect_csv: Collect, tmp_path: Path, suffix: str) -> None:
    import gzip

    import pyarrow.csv as pacsv
    import pyarrow.parquet as pq

    expected = collect_csv(order() + order("u2")).events
    whole = (tmp_path / "orders.csv").read_bytes()
    other = tmp_path / f"other.{suffix}"
    if suffix == "parquet":
        pq.write_table(pacsv.read_csv(tmp_path / "orders.csv"), other)
    else:
        text = whole.replace(b",", b"\t") if suffix == "tsv" else whole
        other.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)
    assert collect_csv("", path=str(other)).events == expected

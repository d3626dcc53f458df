"""Bad input of every kind: kept, quarantined with its reason, or refused in one sentence; never lost."""

from __future__ import annotations

import errno
import gzip
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from components.core.errors import ContractBroken, Misconfigured, Unavailable
from components.core.params import Window
from components.data.tables import TableWriter
from tests.unit.data.conftest import COLUMNS, HEADER, Collect, order, said


def test_a_missing_column_is_refused_by_name(collect_csv: Collect, tmp_path: Path) -> None:
    with pytest.raises(ContractBroken, match="lacks the column sku"):
        collect_csv(order(), header=HEADER.replace("sku", "article"))
    assert not (tmp_path / "raw").exists()


MAY = Window(start=datetime(2024, 5, 1, tzinfo=UTC), end=datetime(2024, 6, 1, tzinfo=UTC))
SECRET = "alice@example.org"


def _refusal(collect: Callable[[], object]) -> str:
    """The whole of what a log may show: the message, and the stack with its causes."""
    with pytest.raises(ContractBroken) as caught:
        collect()
    return str(caught.value) + "".join(traceback.format_exception_only(caught.value)) + repr(_causes(caught.value))


def _causes(error: BaseException) -> list[BaseException]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return [cause, *_causes(cause)] if cause else []


def test_a_file_without_header_is_refused_by_what_it_lacks_and_not_by_what_it_holds(collect_csv: Collect) -> None:
    said = _refusal(lambda: collect_csv(order(SECRET) * 2, header=""))
    assert "orders.csv lacks the columns customer, when, what, sku, pieces, price (found 6 columns)" in said
    assert SECRET not in said
    assert "2024-05-01" not in said


@pytest.mark.parametrize("first", [f"{SECRET},{SECRET},when\n", f'"{SECRET},when\n', f'"{SECRET}"x,when\n'])
def test_a_broken_header_that_may_be_a_row_is_not_quoted(collect_csv: Collect, first: str) -> None:
    said = _refusal(lambda: collect_csv(order(), header=first))
    assert "The header of orders.csv is broken" in said
    assert SECRET not in said


def test_an_undecodable_header_is_not_quoted(collect_csv: Collect) -> None:
    said = _refusal(lambda: collect_csv(f"{SECRET},caf".encode() + b"\xe9\n", header=""))
    assert "not in the encoding utf-8" in said
    assert SECRET not in said


@pytest.mark.parametrize("lines", [2, 250_000])
def test_a_quote_that_is_never_closed_does_not_show_what_it_swallowed(collect_csv: Collect, lines: int) -> None:
    said = _refusal(lambda: collect_csv(order() + f'"{SECRET}' + order(SECRET) * lines))
    assert "never closed" in said
    assert SECRET not in said


def test_a_number_column_of_words_is_refused_as_a_whole(collect_csv: Collect) -> None:
    with pytest.raises(ContractBroken, match=r"quantity in orders.csv holds no numbers"):
        collect_csv(order(rest="A,many,0.50") * 30)


def test_a_timestamp_column_of_words_is_refused_as_a_whole(collect_csv: Collect) -> None:
    with pytest.raises(ContractBroken, match=r"ts in orders.csv holds no timestamps"):
        collect_csv(order(when="yesterday") * 30)


def test_a_timestamp_column_without_zones_is_refused_as_a_whole(collect_csv: Collect) -> None:
    with pytest.raises(ContractBroken, match="set `timezone`"):
        collect_csv(order(when="2024-05-01 12:00:00") * 30)


def test_a_csv_cut_in_the_middle_loses_only_its_last_line_to_quarantine(collect_csv: Collect) -> None:
    outcome = collect_csv(order() + order("u2") + "u3,2024-05-01T12:0")
    assert len(outcome.events) == 2
    assert outcome.reasons == ["truncated line"]
    assert outcome.quarantine[0]["position"] == "orders.csv:4"


def test_a_csv_cut_inside_a_quote_loses_only_its_last_line_to_quarantine(collect_csv: Collect) -> None:
    outcome = collect_csv(order() + 'u3,2024-05-01T12:00:00Z,purchase,"A')
    assert len(outcome.events) == 1
    assert outcome.reasons == ["truncated line"]


def _compressed() -> bytes:
    rows = "".join(order(f"u{number}", rest=f"A,{number},0.50") for number in range(2_000))
    return gzip.compress((HEADER + rows).encode())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-4],
        lambda whole: whole[:5],
        lambda whole: whole[:60] + bytes(40) + whole[100:],
        lambda whole: whole[:-8] + bytes(8),
        lambda whole: HEADER.encode(),
    ],
    ids=["cut in the middle", "cut at its end", "cut in its head", "overwritten", "of another sum", "no gzip"],
)
def test_a_compressed_file_that_is_not_whole_is_refused_by_its_name(
    collect_csv: Collect, tmp_path: Path, spoil: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "more.csv.gz").write_bytes(spoil(_compressed()))
    with pytest.raises(ContractBroken, match=r"^more.csv.gz is not a whole gzip file\. Export it again\.$"):
        collect_csv("", path=str(tmp_path / "more.csv.gz"))
    assert not (tmp_path / "raw").exists()


def test_a_whole_last_line_without_line_end_is_kept(collect_csv: Collect) -> None:
    outcome = collect_csv(order() + order("u2").rstrip("\n"))
    assert len(outcome.events) == 2
    assert outcome.quarantine == []


def test_a_line_with_too_many_fields_is_quarantined_without_its_content(collect_csv: Collect) -> None:
    outcome = collect_csv(order() + "oops,secret-user" + order("") + order("u2"))
    assert len(outcome.events) == 2
    assert outcome.reasons == ["too many fields"]
    assert said(outcome.quarantine[0]) == {}
    assert outcome.quarantine[0]["position"] == "orders.csv:3"


@pytest.mark.parametrize("header", ["", "\n", "customer,customer,when\n", '"customer,when\n', "caf\udce9\n"])
def test_a_broken_header_is_refused(collect_csv: Collect, tmp_path: Path, header: str) -> None:
    with pytest.raises(ContractBroken, match=r"header of orders.csv is broken"):
        collect_csv(header.encode(errors="surrogateescape") + b"", header="")


def test_mixed_encodings_cost_the_row_and_not_the_file(collect_csv: Collect) -> None:
    columns = {**COLUMNS, "text": "price"}
    rows = order(rest="A,1,9").encode() + "u2,2024-05-01T12:00:00Z,purchase,Käse,1,1\n".encode("latin-1")
    outcome = collect_csv(rows, columns=columns)
    assert len(outcome.events) == 1
    assert outcome.reasons == ["decoding error"]
    assert said(outcome.quarantine[0])["item"] == "K�se"


def test_another_encoding_is_read_when_the_mapping_names_it(collect_csv: Collect) -> None:
    outcome = collect_csv("u2,2024-05-01T12:00:00Z,purchase,Käse,1,1\n".encode("latin-1"), encoding="latin-1")
    assert outcome.events[0]["item"] == "Käse"


@pytest.mark.parametrize("number", ["1e99", "9.1e15", "-1e20"])
def test_a_number_beyond_what_is_exact_is_quarantined(collect_csv: Collect, number: str) -> None:
    outcome = collect_csv(order() + order(rest=f"A,{number},0.50") + order(rest=f"A,1,{number}"))
    assert outcome.reasons == ["unparsable number in quantity", "unparsable number in unit_price"]


def test_a_timestamp_in_the_future_is_quarantined(collect_csv: Collect) -> None:
    outcome = collect_csv(order() + order(when="2024-06-01T00:00:01Z"))
    assert outcome.reasons == ["timestamp in the future"]


def test_a_timestamp_without_zone_is_quarantined(collect_csv: Collect) -> None:
    outcome = collect_csv(order() + order(when="2024-05-01T12:00:00"))
    assert outcome.reasons == ["timestamp without zone"]


def test_a_timestamp_without_zone_is_read_in_the_zone_of_the_mapping(collect_csv: Collect) -> None:
    outcome = collect_csv(order(when="2024-05-01T12:00:00"), timezone="Asia/Taipei")
    assert outcome.events[0]["ts"] == datetime(2024, 5, 1, 4, tzinfo=UTC)


@pytest.mark.parametrize("when", ["2024-02-31T12:00:00Z", "12 o'clock", "2024-13-01T00:00:00Z"])
def test_an_invalid_timestamp_is_quarantined(collect_csv: Collect, when: str) -> None:
    outcome = collect_csv(order() + order(when=when))
    assert outcome.reasons == ["invalid timestamp"]
    assert said(outcome.quarantine[0])["ts"] == when


def test_the_31st_of_february_is_invalid_in_a_format_of_its_own_too(collect_csv: Collect) -> None:
    rows = order(when="2/3/2024") + order(when="2/31/2024")
    outcome = collect_csv(rows, ts_format="%m/%d/%Y", timezone="UTC")
    assert [row["ts"].day for row in outcome.events] == [3]
    assert outcome.reasons == ["invalid timestamp"]


def test_a_missing_timestamp_and_a_missing_user_are_quarantined(collect_csv: Collect) -> None:
    outcome = collect_csv(order() + order(when="") + order(user="  "))
    assert outcome.reasons == ["missing timestamp", "missing user"]


def test_an_unknown_event_kind_is_quarantined(collect_csv: Collect) -> None:
    outcome = collect_csv(order() + order(what="teleport"))
    assert outcome.reasons == ["unknown event kind"]


def test_the_shops_own_names_of_events_are_translated(collect_csv: Collect) -> None:
    outcome = collect_csv(order(what="SALE"), kinds={"SALE": "purchase"})
    assert outcome.events[0]["event"] == "purchase"


def test_an_unparsable_number_is_quarantined(collect_csv: Collect) -> None:
    outcome = collect_csv(order() + order(rest="A,two,0.50") + order(rest="A,1.5,0.50") + order(rest="A,1,cheap"))
    assert outcome.reasons == [
        "unparsable number in quantity",
        "unparsable number in quantity",
        "unparsable number in unit_price",
    ]


def test_a_negative_quantity_is_a_return_and_no_error(collect_csv: Collect) -> None:
    outcome = collect_csv(order(rest="A,-3,0.50"))
    assert (outcome.events[0]["event"], outcome.events[0]["quantity"]) == ("return", 3)
    assert outcome.quarantine == []


def test_a_negative_quantity_of_a_view_means_nothing_and_is_quarantined(collect_csv: Collect) -> None:
    outcome = collect_csv(order() + order(what="view", rest="A,-1,0.50"))
    assert outcome.reasons == ["negative quantity"]


def test_an_empty_window_is_refused_and_writes_nothing(collect_csv: Collect, tmp_path: Path) -> None:
    window = Window(start=datetime(1999, 1, 1, tzinfo=UTC), end=datetime(2000, 1, 1, tzinfo=UTC))
    with pytest.raises(ContractBroken, match=r"no event between 1999-01-01 .* and 2000-01-01"):
        collect_csv(order(), window=window)
    assert not (tmp_path / "raw").exists()


def test_a_header_and_nothing_else_is_an_empty_window(collect_csv: Collect) -> None:
    with pytest.raises(ContractBroken, match="has no event"):
        collect_csv("")


@pytest.mark.parametrize("public", [True, False])
def test_why_there_is_no_event_is_told_of_a_public_source_only(collect_csv: Collect, public: bool) -> None:
    with pytest.raises(ContractBroken, match="has no event") as caught:
        collect_csv(order(what="teleport"), window=MAY, public=public)
    assert ("unknown event kind" in str(caught.value)) == public


def test_a_full_disk_leaves_what_was_there(
    collect_csv: Collect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = collect_csv(order())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(TableWriter, "write", full)
    with pytest.raises(Unavailable, match="disk is full"):
        collect_csv(order("u2") * 2)
    assert len(before.events) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "items.csv", "orders.csv", "raw"]


def test_an_unknown_option_is_refused_with_the_allowed_ones(collect_csv: Collect) -> None:
    with pytest.raises(Misconfigured, match=r"unknown key events.separator .*delimiter"):
        collect_csv(order(), separator=";")


def test_an_unknown_column_of_the_mapping_is_refused(collect_csv: Collect) -> None:
    with pytest.raises(Misconfigured, match="unit_price"):
        collect_csv(order(), columns={**COLUMNS, "colour": "price"})


def test_an_unknown_time_zone_is_refused(collect_csv: Collect) -> None:
    with pytest.raises(Misconfigured, match="IANA"):
        collect_csv(order(), timezone="Mars/Olympus")


def test_a_path_without_files_is_refused(collect_csv: Collect) -> None:
    with pytest.raises(Misconfigured, match="no existing file"):
        collect_csv(order(), path="/nonexistent/*.csv")

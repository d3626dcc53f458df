"""The check stage on files: what passes, what is set aside, what is refused, and what is left behind each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.core import digest
from components.core.errors import ContractBroken, Misconfigured
from components.core.params import Window
from components.core.records import DataCheck
from components.data.tables import QUARANTINE
from components.quality import quarantine, suites
from components.quality.stage import RAW, SUITES, check_prepared, check_raw

from .tables import END, EXPECTATIONS, NOW, START, ads, events, interactions, items, messages, plant, write
from .test_faults import EVENT_TABLE_FAULTS

pytestmark = pytest.mark.slow  # a run of the checking engine for each


def _raw(folder: Path, table: pa.Table, catalogue: pa.Table | None = None, **changes: Any) -> tuple[DataCheck, ...]:
    public = {"items": items() if catalogue is None else catalogue, "ads": ads()}
    raw = write(folder / "raw", events=table, messages=messages(), **public)
    options = {"window": Window(start=START, end=END), "now": NOW, **changes}
    return check_raw(raw, folder / "checked", folder / "reports", EXPECTATIONS, **options)


def _prepared(
    folder: Path, table: pa.Table, expectations: Path = EXPECTATIONS, **changes: Any
) -> tuple[DataCheck, ...]:
    prepared = write(folder / "prepared", interactions=table, items=items())
    options = {"services": ["recommend"], "max_items_per_user": 4, **changes}
    return check_prepared(prepared, folder / "reports", expectations, **options)


def test_a_clean_window_passes_whole_and_leaves_its_evidence(tmp_path: Path) -> None:
    records = _raw(tmp_path, events())
    checked = tmp_path / "checked"
    assert pq.read_table(checked / "events.parquet").equals(events())
    assert pq.read_table(checked / "items.parquet").equals(items())
    assert pq.read_table(checked / "ads.parquet").equals(ads())
    assert pq.read_table(checked / "messages.parquet").equals(messages())
    assert quarantine.counts(checked / "quarantine.parquet") == {}
    assert records == tuple(DataCheck.read(checked / f"{name}-check.json") for name in RAW)
    paths = [EXPECTATIONS / f"{SUITES.get(name, name)}.json" for name in RAW]
    assert [record.suite for record in records] == [suites.load(path).digest for path in paths]


def test_a_faulty_row_goes_to_quarantine_with_its_reason_and_the_rest_passes(tmp_path: Path) -> None:
    _raw(tmp_path, plant(events(), "quantity", 1, -3))
    assert pq.read_table(tmp_path / "checked" / "events.parquet").num_rows == events().num_rows - 1
    aside = pq.read_table(tmp_path / "checked" / "quarantine.parquet")
    assert aside.schema.equals(QUARANTINE)
    (row,) = aside.to_pylist()
    assert (row["reason"], row["position"]) == ("quantity", "events:1")
    kept = json.loads(row["row"])
    assert kept["quantity"] == -3
    assert kept["ts"] == events()["ts"][1].as_py().isoformat()


def test_an_event_about_an_item_that_went_to_quarantine_is_about_an_unknown_item(tmp_path: Path) -> None:
    few_of_i0 = plant(events(), "item", *[f"i{1 + n % 4}" for n in range(38)])
    _raw(tmp_path, plant(few_of_i0, "item", "i0"), plant(items(), "price", -1))
    aside = pq.read_table(tmp_path / "checked" / "quarantine.parquet").select(["reason", "position"]).to_pylist()
    assert [(row["reason"], row["position"]) for row in aside] == [
        ("price", "items:0"),
        ("unknown item", "ads:0"),
        ("unknown item", "events:0"),
    ]


def test_a_broken_table_of_a_public_source_is_refused_in_one_sentence_with_its_figures(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken) as caught:
        _raw(tmp_path, events(), previous_events=1000, public=True)
    assert str(caught.value) == (
        'The table events breaks its suite events: "volume", expect_table_row_count_to_be_between, does not hold '
        "(found 40, limit min_value about 500, max_value about 2,000). "
        "A window with half or twice the events of the last one was cut or loaded twice. "
        "Mend the source, or change expectations/events.json in review; the rows are shown in "
        f"{tmp_path / 'reports' / 'raw' / 'index.html'}"
    )


def test_a_broken_table_of_a_private_source_is_refused_without_a_figure_and_by_its_page(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken) as caught:
        _raw(tmp_path, plant(events(), "user", "C1104905"), previous_events=1000)
    assert str(caught.value) == (
        'The table events breaks its suite events: "volume", expect_table_row_count_to_be_between, does not hold. '
        "A window with half or twice the events of the last one was cut or loaded twice. "
        "Mend the source, or change expectations/events.json in review; the rows are shown in "
        f"{tmp_path / 'reports' / 'raw' / 'index.html'}"
    )


@pytest.mark.parametrize("name", EVENT_TABLE_FAULTS)
def test_no_refusal_of_a_private_source_tells_a_count_a_date_or_a_share(tmp_path: Path, name: str) -> None:
    with pytest.raises(ContractBroken) as caught:
        _raw(tmp_path, EVENT_TABLE_FAULTS[name](events()), previous_events=40)
    assert (caught.value.value, caught.value.limit) == (None, None)
    assert not set(caught.value.what) & set("0123456789%")


def test_a_refused_table_leaves_its_evidence_and_its_page(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken):
        _raw(tmp_path, events(), previous_events=1000)
    record = DataCheck.read(tmp_path / "checked" / "events-check.json")
    assert (record.passed, record.failed) == (False, ("volume",))
    page = (tmp_path / "reports" / "raw" / "events.html").read_text()
    assert "is refused" in page
    assert "found 40, limit min_value about 500" in page


def test_a_refused_window_leaves_no_table_of_an_earlier_one(tmp_path: Path) -> None:
    _raw(tmp_path, events())
    with pytest.raises(ContractBroken):
        _raw(tmp_path, events().drop_columns(["site"]))
    assert not (tmp_path / "checked" / "events.parquet").exists()
    assert not (tmp_path / "checked" / "items.parquet").exists()


def test_a_broken_catalogue_is_refused_before_the_events_that_rest_on_it(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken, match='The table items breaks its suite items: "item unique"'):
        _raw(tmp_path, events(), plant(items(), "item", "i1"))
    assert DataCheck.read(tmp_path / "checked" / "events-check.json").table == "events"


def test_a_second_run_writes_the_same_bytes(tmp_path: Path) -> None:
    table = plant(events(), "quantity", 0)
    _raw(tmp_path, table)
    first = digest.of_path(tmp_path / "checked")
    _raw(tmp_path, table)
    assert digest.of_path(tmp_path / "checked") == first


def test_a_window_without_zone_is_read_as_utc(tmp_path: Path) -> None:
    naive = Window(start=START.replace(tzinfo=None), end=END.replace(tzinfo=None))
    assert all(record.passed for record in _raw(tmp_path, events(), window=naive))


def test_the_evidence_holds_no_figure_of_the_rows(tmp_path: Path) -> None:
    _raw(tmp_path, events(37))
    document = json.loads((tmp_path / "checked" / "events-check.json").read_text())
    assert set(document["body"]) == {"table", "suite", "passed", "failed"}
    assert "37" not in json.dumps({**document["body"], "suite": ""})


@pytest.mark.parametrize("content", [None, b"PAR1 cut in the middle"])
def test_a_missing_or_cut_table_is_refused_by_its_path(tmp_path: Path, content: bytes | None) -> None:
    raw = write(tmp_path / "raw", items=items(), ads=ads(), messages=messages())
    if content is not None:
        (raw / "events.parquet").write_bytes(content)
    with pytest.raises(ContractBroken, match=r"events\.parquet is (missing|not a whole Parquet file)"):
        check_raw(raw, tmp_path / "checked", tmp_path / "reports", EXPECTATIONS, window=Window())


def test_the_prepared_table_is_checked_for_itself_and_for_each_service(tmp_path: Path) -> None:
    records = _prepared(tmp_path, interactions())
    assert [record.table for record in records] == ["prepared", "recommend"]
    for record in records:
        assert DataCheck.read(tmp_path / "prepared" / f"{record.table}-check.json") == record


def test_a_prepared_table_that_one_service_cannot_use_is_refused_in_that_services_name(tmp_path: Path) -> None:
    with pytest.raises(ContractBroken, match='The table recommend breaks its suite recommend: "users"'):
        _prepared(tmp_path, interactions(users=4))
    assert DataCheck.read(tmp_path / "prepared" / "prepared-check.json").passed
    assert not DataCheck.read(tmp_path / "prepared" / "recommend-check.json").passed


@pytest.mark.parametrize("public", [True, False])
def test_a_refused_prepared_table_tells_its_figures_of_a_public_source_only(tmp_path: Path, public: bool) -> None:
    with pytest.raises(ContractBroken) as caught:
        _prepared(tmp_path, interactions(users=4), public=public)
    assert ("found 4" in str(caught.value)) == public
    assert str(caught.value).endswith(str(tmp_path / "reports" / "prepared" / "index.html"))


def test_a_row_level_after_prepare_is_refused_because_nothing_would_set_the_row_aside(tmp_path: Path) -> None:
    folder = tmp_path / "expectations"
    folder.mkdir()
    for name in ("prepared", "recommend"):
        text = (EXPECTATIONS / f"{name}.json").read_text()
        (folder / f"{name}.json").write_text(text.replace('"weight positive", "level": "table"', '"w", "level": "row"'))
    with pytest.raises(Misconfigured, match="no quarantine after prepare"):
        _prepared(tmp_path, interactions(), folder)

"""Every expectation of every suite bites: one planted fault each, and nothing that has none."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from components.data.tables import ADS, EVENT_KINDS, EVENTS, INTERACTIONS, ITEMS, MESSAGES
from components.quality import derived, suites
from components.quality.check import Checked, check

from .faults import (
    AD_ROW_FAULTS,
    AD_TABLE_FAULTS,
    EVENT_ROW_FAULTS,
    EVENT_TABLE_FAULTS,
    ITEM_ROW_FAULTS,
    ITEM_TABLE_FAULTS,
    MESSAGE_ROW_FAULTS,
    MESSAGE_TABLE_FAULTS,
    PREPARED_FAULTS,
    SERVICE_FAULTS,
    repeated,
)
from .tables import (
    END,
    EXPECTATIONS,
    NOW,
    START,
    activity,
    ads,
    events,
    interactions,
    items,
    messages,
    plant,
    with_column,
    written,
)

PREPARED = {"interactions": interactions, "activity": activity, "messages": written}
"""What prepare leaves, by the table that a service's suite names."""

pytestmark = pytest.mark.slow  # a run of the checking engine for each fault


def _check_events(table: pa.Table, **changes: Any) -> Checked:
    parameters = {"now": NOW, "window_start": START, "window_end": END, "previous_events": 40, **changes}
    return check(
        "events", derived.of_events(table, items(), ads()), suites.load(EXPECTATIONS / "events.json"), parameters
    )


def _check_items(table: pa.Table) -> Checked:
    return check("items", table, suites.load(EXPECTATIONS / "items.json"), {})


def _check_ads(table: pa.Table) -> Checked:
    return check("ads_table", derived.of_ads(table, items()), suites.load(EXPECTATIONS / "ads_table.json"), {})


def _check_messages(table: pa.Table) -> Checked:
    parameters = {"now": NOW, "window_start": START, "window_end": END}
    return check("messages", derived.of_messages(table), suites.load(EXPECTATIONS / "messages.json"), parameters)


def _check_prepared(table: pa.Table, suite: str = "prepared") -> Checked:
    full = derived.of_prepared(table, items())
    return check(suite, full, suites.load(EXPECTATIONS / f"{suite}.json"), {"max_items_per_user": 4})


def _check_of(service: str, table: pa.Table, listed: int | None = 5) -> Checked:
    bounds = {"max_items_per_user": 4, "max_events_per_user": 8, "max_messages_per_user": 2, "listed_ads": listed}
    full = derived.of_prepared(table, items())
    return check(service, full, suites.load(EXPECTATIONS / f"{service}.json"), bounds)


def _table_of(service: str) -> pa.Table:
    return PREPARED[suites.load(EXPECTATIONS / f"{service}.json").table]()


@pytest.mark.parametrize("name", EVENT_TABLE_FAULTS)
def test_a_fault_of_the_events_table_refuses_it(name: str) -> None:
    checked = _check_events(EVENT_TABLE_FAULTS[name](events()))
    assert name in checked.record.failed
    assert not checked.record.passed


@pytest.mark.parametrize("name", [*EVENT_ROW_FAULTS, "duplicate"])
def test_a_fault_of_one_event_sets_that_event_aside_and_passes_the_others(name: str) -> None:
    faulty = {**EVENT_ROW_FAULTS, "duplicate": lambda table: repeated(table, 0.025)}[name](events())
    row = faulty.num_rows - 1 if name == "duplicate" else 0
    checked = _check_events(faulty)
    assert checked.record.passed, checked.broken
    assert checked.reasons.to_pylist() == [name if n == row else None for n in range(faulty.num_rows)]


@pytest.mark.parametrize("name", ITEM_TABLE_FAULTS)
def test_a_fault_of_the_catalogue_refuses_it(name: str) -> None:
    assert name in _check_items(ITEM_TABLE_FAULTS[name](items())).record.failed


@pytest.mark.parametrize("name", ITEM_ROW_FAULTS)
def test_a_fault_of_one_item_sets_that_item_aside(name: str) -> None:
    checked = _check_items(ITEM_ROW_FAULTS[name](items()))
    assert checked.record.passed, checked.broken
    assert checked.reasons.to_pylist() == [name, None, None, None, None]


@pytest.mark.parametrize("name", AD_TABLE_FAULTS)
def test_a_fault_of_the_ads_refuses_them(name: str) -> None:
    assert name in _check_ads(AD_TABLE_FAULTS[name](ads())).record.failed


@pytest.mark.parametrize("name", AD_ROW_FAULTS)
def test_a_fault_of_one_ad_sets_that_ad_aside(name: str) -> None:
    checked = _check_ads(AD_ROW_FAULTS[name](ads()))
    assert checked.record.passed, checked.broken
    assert checked.reasons.to_pylist() == [name, None, None, None, None]


@pytest.mark.parametrize("name", MESSAGE_TABLE_FAULTS)
def test_a_fault_of_the_messages_refuses_them(name: str) -> None:
    assert name in _check_messages(MESSAGE_TABLE_FAULTS[name](messages())).record.failed


@pytest.mark.parametrize("name", [*MESSAGE_ROW_FAULTS, "duplicate"])
def test_a_fault_of_one_message_sets_that_message_aside(name: str) -> None:
    faulty = {**MESSAGE_ROW_FAULTS, "duplicate": lambda table: repeated(table, 0.025)}[name](messages())
    row = faulty.num_rows - 1 if name == "duplicate" else 0
    checked = _check_messages(faulty)
    assert checked.record.passed, checked.broken
    assert checked.reasons.to_pylist() == [name if n == row else None for n in range(faulty.num_rows)]


def test_a_source_without_ads_and_messages_passes_and_what_it_says_of_ads_too() -> None:
    assert _check_ads(ADS.empty_table()).record.passed
    assert _check_messages(MESSAGES.empty_table()).record.passed
    shown = derived.of_events(plant(events(), "ad", "elsewhere"), items(), ADS.empty_table())
    parameters = {"now": NOW, "window_start": START, "window_end": END, "previous_events": 40}
    checked = check("events", shown, suites.load(EXPECTATIONS / "events.json"), parameters)
    assert checked.reasons.null_count == shown.num_rows


@pytest.mark.parametrize("name", PREPARED_FAULTS)
def test_a_fault_of_the_prepared_table_refuses_it(name: str) -> None:
    assert name in _check_prepared(PREPARED_FAULTS[name](interactions())).record.failed


@pytest.mark.parametrize(
    ("service", "name"), [(service, name) for service, faults in SERVICE_FAULTS.items() for name in faults]
)
def test_a_table_that_a_service_cannot_use_is_refused(service: str, name: str) -> None:
    assert name in _check_of(service, SERVICE_FAULTS[service][name](_table_of(service))).record.failed


def test_a_source_that_lists_no_ads_keeps_no_other_service_from_its_table() -> None:
    bought = activity().filter(pc.equal(activity()["event"], "purchase"))
    checked = _check_of("ads", bought, listed=None)
    assert checked.record.passed
    assert checked.left_out == ("ads shown",)


@pytest.mark.parametrize(
    ("run", "table"),
    [
        (_check_events, events),
        (_check_items, items),
        (_check_ads, ads),
        (_check_messages, messages),
        (_check_prepared, interactions),
        *((partial(_check_of, name), partial(_table_of, name)) for name in SERVICE_FAULTS),
    ],
)
def test_a_table_without_a_fault_passes_whole(
    run: Callable[[pa.Table], Checked], table: Callable[[], pa.Table]
) -> None:
    checked = run(table())
    assert checked.record.passed, checked.broken
    assert checked.reasons.null_count == table().num_rows


@pytest.mark.parametrize(
    ("suite", "faults"),
    [
        ("events", {*EVENT_TABLE_FAULTS, *EVENT_ROW_FAULTS, "duplicate"}),
        ("items", {*ITEM_TABLE_FAULTS, *ITEM_ROW_FAULTS}),
        ("ads_table", {*AD_TABLE_FAULTS, *AD_ROW_FAULTS}),
        ("messages", {*MESSAGE_TABLE_FAULTS, *MESSAGE_ROW_FAULTS, "duplicate"}),
        ("prepared", {*PREPARED_FAULTS}),
        *((name, {*faults}) for name, faults in SERVICE_FAULTS.items()),
    ],
)
def test_every_expectation_has_a_planted_fault(suite: str, faults: set[str]) -> None:
    assert {expected.name for expected in suites.load(EXPECTATIONS / f"{suite}.json").expectations} == faults


@pytest.mark.parametrize(
    ("suite", "schema"),
    [
        ("events", EVENTS),
        ("items", ITEMS),
        ("ads_table", ADS),
        ("messages", MESSAGES),
        ("prepared", INTERACTIONS),
        *((name, _table_of(name).schema) for name in SERVICE_FAULTS),
    ],
)
def test_every_suite_speaks_of_columns_that_exist(suite: str, schema: pa.Schema) -> None:
    raw = suite if suite in ("events", "items", "messages") else {"ads_table": "ads"}.get(suite, "prepared")
    known = {*schema.names, *derived.DERIVED[raw]}
    for expected in suites.load(EXPECTATIONS / f"{suite}.json").expectations:
        kwargs = expected.kwargs
        named = {
            *map(kwargs.get, ("column", "column_A", "column_B")),
            *kwargs.get("column_list", ()),
            *kwargs.get("column_set", ()),
        } - {None}
        condition = kwargs.get("row_condition", {}).get("column", {}).get("name")
        assert named | ({condition} - {None}) <= known, expected.name


def test_the_event_kinds_of_the_suite_are_those_of_the_tables() -> None:
    suite = suites.load(EXPECTATIONS / "events.json")
    kinds = next(expected for expected in suite.expectations if expected.name == "event kind")
    assert tuple(kinds.kwargs["value_set"]) == EVENT_KINDS


def test_a_search_needs_no_item_and_a_rating_no_price() -> None:
    table = plant(plant(events(), "event", "search", "review"), "item", None, "i1")
    table = plant(plant(table, "unit_price", None, None), "currency", None, None)
    assert _check_events(table).reasons.null_count == table.num_rows


def test_twice_the_events_of_the_last_window_refuse_the_table() -> None:
    assert _check_events(events(), previous_events=19).record.failed == ("volume",)


def test_without_a_last_window_and_an_end_volume_and_freshness_are_left_out_and_named() -> None:
    checked = _check_events(events(), previous_events=None, window_start=None, window_end=None)
    assert checked.record.passed
    assert checked.left_out == ("volume", "fresh", "after the window's start", "before the window's end")


def test_a_missing_column_refuses_what_speaks_of_it_at_row_level_too() -> None:
    failed = _check_events(events().drop_columns(["rating"])).record.failed
    assert {"columns", "rating type", "rating"} <= set(failed)


def test_a_row_with_two_faults_has_the_reason_that_comes_first_in_the_suite() -> None:
    table = plant(plant(events(), "quantity", 0), "event", "teleport")
    assert _check_events(table).reasons[0].as_py() == "event kind"


def test_an_expectation_that_cannot_be_evaluated_says_so_without_quoting_a_row() -> None:
    texts = with_column(events(), "rating", pa.array([f"secret {n}" for n in range(40)]))
    broken = {expected.name: outcome.found for expected, outcome in _check_events(texts).broken}
    assert broken == {"rating type": "string[pyarrow]", "rating": "no answer; Data Docs show the exception"}


def test_a_row_that_the_engine_counts_but_does_not_name_refuses_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    from great_expectations.core import ExpectationValidationResult

    complete = ExpectationValidationResult.__init__

    def short(self: ExpectationValidationResult, *args: Any, **kwargs: Any) -> None:
        complete(self, *args, **kwargs)
        self.result.get("unexpected_index_list", [])[:1] = []

    monkeypatch.setattr(ExpectationValidationResult, "__init__", short)
    checked = _check_events(plant(events(), "quantity", 0, 0))
    assert checked.record.failed == ("quantity",)

"""The check stage: tables in, tables and evidence out; a table that breaks its suite is refused, evidence first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import ContractBroken, Misconfigured
from components.core.files import atomic_path
from components.core.params import Prepare, Window
from components.core.records import DataCheck
from components.data.tables import ADS, EVENTS, ITEMS, MESSAGES, write_table
from components.quality import derived, docs, quarantine, suites
from components.quality.check import Checked, check
from components.quality.suites import Suite

RAW = {"items": ITEMS, "ads": ADS, "messages": MESSAGES, "events": EVENTS}
"""The tables that collect leaves, in the order in which they are checked."""

SUITES = {"ads": "ads_table"}
"""Suites of raw tables that are not called as the table: `ads` is a service's."""

_DERIVING: dict[str, Callable[[pa.Table, Mapping[str, pa.Table]], pa.Table]] = {
    "items": lambda table, good: table,
    "ads": lambda table, good: derived.of_ads(table, good["items"]),
    "messages": lambda table, good: derived.of_messages(table),
    "events": lambda table, good: derived.of_events(table, good["items"], good["ads"]),
}


def check_raw(
    raw: Path,
    out: Path,
    reports: Path,
    expectations: Path,
    *,
    window: Window,
    public: bool = False,
    previous_events: int | None = None,
    now: datetime | None = None,
) -> tuple[DataCheck, ...]:
    """Check the raw items, ads, messages and events, and write what passed to `out`.

    Writes each table's rows that passed, `quarantine.parquet` (the others) and each table's `-check.json` to `out`, and
    Data Docs to `reports/raw/`. Where a table is refused, the evidence, the quarantine and Data Docs are there and no
    table is. Returns the evidence in the order of the tables.

    Args:
        raw: the folder that collect wrote.
        out: the folder of checked tables.
        reports: where Data Docs go; trusted zone.
        expectations: the folder of suites.
        window: the window that was collected.
        public: the source is declared public; only then a refusal carries figures.
        previous_events: events of the last window, exact; None where there was none.
        now: what counts as the present (UTC).

    Raises:
        ContractBroken: a table-level expectation does not hold.
        Misconfigured: a suite cannot be used.
    """
    tables = {name: _read(raw / f"{name}.parquet") for name in RAW}
    for name in RAW:  # what an earlier run passed is not what this one passes
        (out / f"{name}.parquet").unlink(missing_ok=True)

    times = {"now": now or datetime.now(UTC), "window_start": _utc(window.start), "window_end": _utc(window.end)}
    parameters: dict[str, Mapping[str, Any]] = {
        "messages": times,
        "events": {**times, "previous_events": previous_events},
    }
    found: list[Checked] = []
    good: dict[str, pa.Table] = {}
    bad: list[pa.Table] = []
    for name, derive in _DERIVING.items():  # what is public first: the others are held against what passed of it
        table = derive(tables[name], good)
        found.append(
            check(name, table, suites.load(expectations / f"{SUITES.get(name, name)}.json"), parameters.get(name, {}))
        )
        good[name], aside = quarantine.divide(tables[name], found[-1].reasons, name)
        bad.append(aside)
    quarantine.write(out / "quarantine.parquet", *bad)
    index = _leave_evidence(found, out, reports / "raw")
    for checked in found:
        checked.demand(public=public, docs=index)
    for name, schema in RAW.items():
        _write(out / f"{name}.parquet", good[name], schema)
    return tuple(checked.record for checked in found)


def check_prepared(
    prepared: Path,
    reports: Path,
    expectations: Path,
    *,
    services: Sequence[str],
    max_items_per_user: int,
    max_events_per_user: int = Prepare().max_events_per_user,
    max_messages_per_user: int = Prepare().max_messages_per_user,
    public: bool = False,
) -> tuple[DataCheck, ...]:
    """Check `prepared/interactions.parquet` against `prepared.json`, and the tables of each service's suite against it.

    Writes `prepared-check.json` and `<service>-check.json` beside it, and Data Docs to `reports/prepared/`.

    Args:
        prepared: the folder that prepare wrote.
        reports: where Data Docs go; trusted zone.
        expectations: the folder of suites.
        services: the services that will be trained on it.
        max_items_per_user, max_events_per_user, max_messages_per_user: the bounds that prepare was given.
        public: the source is declared public; only then a refusal carries figures.

    Raises:
        ContractBroken: an expectation does not hold.
        Misconfigured: a suite cannot be used.
    """
    parameters: dict[str, int | None] = {
        "max_items_per_user": max_items_per_user,
        "max_events_per_user": max_events_per_user,
        "max_messages_per_user": max_messages_per_user,
    }
    items, listed = _read(prepared / "items.parquet"), prepared / "ads.parquet"
    parameters["listed_ads"] = (pq.read_metadata(listed).num_rows if listed.exists() else 0) or None
    found = {name: _without_quarantine(expectations / f"{name}.json") for name in ("prepared", *services)}
    tables = {
        name: derived.of_prepared(_read(prepared / f"{name}.parquet"), items)
        for name in {suite.table for suite in found.values()}
    }
    # A source may have nothing of what one service reads (no messages, say), which stops no other service.
    for name in services:
        if not len(tables[found[name].table]):
            found[name] = _of_no_rows(found[name])
    checks = [check(name, tables[suite.table], suite, parameters) for name, suite in found.items()]
    index = _leave_evidence(checks, prepared, reports / "prepared")
    return tuple(checked.demand(public=public, docs=index) for checked in checks)


def _of_no_rows(suite: Suite) -> Suite:
    """Return what a suite says of a table without a row: its columns."""
    columns = [one for one in suite.expectations if one.expectation == "expect_table_columns_to_match_set"]
    return suite.model_copy(update={"expectations": type(suite.expectations)(columns)})


def _utc(bound: datetime | None) -> datetime | None:
    return bound and (bound if bound.tzinfo else bound.replace(tzinfo=UTC))  # as collect reads a bound without zone


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except FileNotFoundError as error:
        raise ContractBroken(f"The table {path} is missing", next_step="Run the step that makes it.") from error
    except pa.ArrowInvalid as error:
        raise ContractBroken(
            f"The table {path} is not a whole Parquet file", next_step="Run the step that makes it again."
        ) from error


def _without_quarantine(path: Path) -> Suite:
    suite = suites.load(path)
    by_row = [expected.name for expected in suite.expectations if expected.level == "row"]
    if by_row:
        raise Misconfigured(
            f'{path}: {by_row[0]!r} has the level "row", and there is no quarantine after prepare',
            limit='level "table"',
            next_step='Set its level to "table".',
        )
    return suite


def _leave_evidence(checks: Sequence[Checked], out: Path, reports: Path) -> Path:
    """Write the Data Docs and the records; return the index of the former."""
    index = docs.write(checks, reports)
    for checked in checks:
        checked.record.write(out / f"{checked.record.table}-check.json")
    return index


def _write(path: Path, table: pa.Table, schema: pa.Schema) -> None:
    with atomic_path(path) as part:
        write_table(part, schema, [table])

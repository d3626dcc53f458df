"""The check stage: tables in, tables and evidence out; a table that breaks its suite is refused, evidence first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from components.core.errors import ContractBroken, Misconfigured
from components.core.files import atomic_path
from components.core.params import Window
from components.core.records import DataCheck
from components.data.tables import EVENTS, ITEMS, write_table
from components.quality import derived, docs, quarantine, suites
from components.quality.check import Checked, check
from components.quality.suites import Suite


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
) -> tuple[DataCheck, DataCheck]:
    """Check `raw/{events,items}.parquet` and write what passed to `out`.

    Writes `events.parquet`, `items.parquet` (rows that passed), `quarantine.parquet` (the others), `events-check.json`
    and `items-check.json` to `out`, and Data Docs to `reports/raw/`. Where a table is refused, the evidence, the
    quarantine and Data Docs are there and neither table is.

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
    events, items = _read(raw / "events.parquet"), _read(raw / "items.parquet")
    for name in ("events.parquet", "items.parquet"):  # what an earlier run passed is not what this one passes
        (out / name).unlink(missing_ok=True)

    of_items = check("items", items, suites.load(expectations / "items.json"), {})
    good_items, bad_items = quarantine.divide(items, of_items.reasons, "items")
    of_events = check(
        "events",
        derived.of_events(events, good_items),
        suites.load(expectations / "events.json"),
        {
            "now": now or datetime.now(UTC),
            "window_start": _utc(window.start),
            "window_end": _utc(window.end),
            "previous_events": previous_events,
        },
    )
    good_events, bad_events = quarantine.divide(events, of_events.reasons, "events")
    quarantine.write(out / "quarantine.parquet", bad_items, bad_events)
    index = _leave_evidence([of_items, of_events], out, reports / "raw")
    for checked in (of_items, of_events):
        checked.demand(public=public, docs=index)
    _write(out / "items.parquet", good_items, ITEMS)
    _write(out / "events.parquet", good_events, EVENTS)
    return of_events.record, of_items.record


def check_prepared(
    prepared: Path,
    reports: Path,
    expectations: Path,
    *,
    services: Sequence[str],
    max_items_per_user: int,
    public: bool = False,
) -> tuple[DataCheck, ...]:
    """Check `prepared/interactions.parquet` against `prepared.json` and against each service's own suite.

    Writes `prepared-check.json` and `<service>-check.json` beside it, and Data Docs to `reports/prepared/`.

    Args:
        prepared: the folder that prepare wrote.
        reports: where Data Docs go; trusted zone.
        expectations: the folder of suites.
        services: the services that will be trained on it.
        max_items_per_user: the bound on distinct items that prepare was given.
        public: the source is declared public; only then a refusal carries figures.

    Raises:
        ContractBroken: an expectation does not hold.
        Misconfigured: a suite cannot be used.
    """
    table = derived.of_prepared(_read(prepared / "interactions.parquet"), _read(prepared / "items.parquet"))
    parameters = {"max_items_per_user": max_items_per_user}
    paths = [expectations / f"{name}.json" for name in ("prepared", *services)]
    checks = [check(path.stem, table, _without_quarantine(path), parameters) for path in paths]
    index = _leave_evidence(checks, prepared, reports / "prepared")
    return tuple(checked.demand(public=public, docs=index) for checked in checks)


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

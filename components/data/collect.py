"""A source and a time window become pseudonymised Parquet, before the first tracked byte.

Every row of the window is kept, or quarantined with its reason. The same source and window give the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.compute as pc

from components.core import digest
from components.core.errors import ContractBroken, Misconfigured
from components.core.evidence import Record
from components.core.files import atomic_path
from components.core.params import Source, Window
from components.core.progress import Progress, no_progress
from components.data import blocks, shop
from components.data.pseudonym import digest_key, load_key
from components.data.rows import Judged, Redact, as_written, judge, judge_messages
from components.data.sources.reader import Reader
from components.data.tables import ADS, EVENTS, ITEMS, MESSAGES, QUARANTINE, TableWriter, write_table

_TABLES = ("events", "items", "ads", "messages", "quarantine")


class Collected(Record):
    """What was collected, without a single exact figure about private rows."""

    kind: ClassVar[str] = "collected"
    source: str
    public: bool
    start: datetime | None
    end: datetime | None
    blocks: tuple[str, ...]
    """Those that meet the window; where that of a public source is open, those from the first to the last row."""
    digest_keyed: str
    """HMAC of the digest of events, items, ads, messages and quarantine."""
    simulator: int | None = None
    """Version of the simulator that made the events; None where it did not."""

    def body(self) -> dict[str, Any]:
        """Return the JSON-ready content; of real people's events it says nothing about a simulator."""
        return self.model_dump(mode="json", exclude={"simulator"} if self.simulator is None else None)


def window_key(source: Source, window: Window) -> str:
    """Return the key of a (source, window): what has one is collected once, and a late run of it does nothing."""
    simulator = _simulator(source)
    return digest.of_json(
        {"source": source.model_dump(mode="json"), "window": [bound and _utc(bound) for bound in _bounds(window)]}
        | ({} if simulator is None else {"simulator": simulator})
    )


def collect(
    reader: Reader,
    source: Source,
    window: Window,
    block: blocks.Block,
    home: Path,
    out: Path,
    *,
    now: datetime | None = None,
    redact: Redact = as_written,
    progress: Progress = no_progress,
) -> Collected:
    """Write events, items, ads, messages and quarantine (.parquet), counts.json and collected.json into `out`.

    All tables are there, without rows where the source has none. The folder appears whole or not at all; memory is
    bounded by a few batches. `counts.json` holds exact figures and stays in the trusted zone; `collected.json` may
    leave it.

    Args:
        reader: from `open_source(source, …)`.
        source: recorded by its kind; whether it is public is taken from it.
        window: half-open; bounds without zone are read as UTC. A private source needs both.
        block: the kind of calendar blocks that the ledger keeps accounts for.
        home: the folder of the shop's key.
        out: the folder, replaced.
        now: what counts as the future begins here; by default the present.
        redact: what becomes of free text before it is stored, quarantined rows included.
        progress: called with the rows read so far.

    Raises:
        Misconfigured: the source is private and an end of the window is open.
        ContractBroken: a column is missing or of the wrong type, a header is broken, or the window has no event.
    """
    _demand_bounds(source, window)
    now = now or datetime.now(UTC)
    window = Window(**dict(zip(("start", "end"), _bounds(window), strict=True)))
    key = load_key(home)
    counts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    span: list[datetime] = []
    with atomic_path(out) as part:
        part.mkdir()
        write_table(part / "items.parquet", ITEMS, [reader.items()])
        write_table(part / "ads.parquet", ADS, [reader.ads()])
        with ExitStack() as stack:
            events, messages, quarantine = (
                stack.enter_context(TableWriter(part / f"{name}.parquet", schema))
                for name, schema in (("events", EVENTS), ("messages", MESSAGES), ("quarantine", QUARANTINE))
            )

            def keep(judged: Judged, writer: TableWriter, rows: int) -> None:
                writer.write(judged.accepted)
                quarantine.write(judged.quarantine)
                counts["rows"] += rows
                counts["outside the window"] += judged.outside
                reasons.update(judged.quarantine["reason"].to_pylist())
                if judged.accepted.num_rows:
                    ends = pc.min_max(judged.accepted["ts"]).as_py()
                    span[:] = [min([*span, ends["min"]]), max([*span, ends["max"]])]
                progress(counts["rows"], None)

            told: dict[str, Any] = {"window": window, "now": now, "key": key, "redact": redact}
            for batch in reader.events(window):
                keep(judge(batch, reader.meaning, **told), events, batch.rows.num_rows)
            for batch in reader.messages(window):
                keep(judge_messages(batch, reader.message_meaning, **told), messages, batch.rows.num_rows)
        if not events.rows:
            raise _nothing(source, window, reasons)
        figures = {
            **counts,
            "events": events.rows,
            "messages": messages.rows,
            "quarantine": dict(sorted(reasons.items())),
        }
        (part / "counts.json").write_text(json.dumps(figures, indent=1, sort_keys=True) + "\n")
        record = _record(source, window, block, home, part, *span)
        record.write(part / "collected.json")
    return record


def _demand_bounds(source: Source, window: Window) -> None:
    """Refuse an open window of a private source: its blocks, which are published, would tell the time of an event."""
    if source.public or (window.start and window.end):
        return
    raise Misconfigured(
        "A private source needs both ends of its window, so that its blocks follow from the calendar and not from its "
        "first and last event",
        value=f"window.start {window.start or 'null'}, window.end {window.end or 'null'}",
        limit="two moments",
        next_step="Write `window: {start: 2026-01-01, end: 2026-04-01}` with your own dates in params.yaml, or run "
        "`jali run dataset --start 2026-01-01 --end 2026-04-01`.",
    )


def _record(
    source: Source, window: Window, block: blocks.Block, home: Path, part: Path, first: datetime, last: datetime
) -> Collected:
    if window.start and window.end:
        names = blocks.between(window.start, window.end, block)  # the same whoever is in the data
    else:
        names = blocks.between(first, last + timedelta(microseconds=1), block)
    files = {name: digest.of_path(part / f"{name}.parquet") for name in _TABLES}
    return Collected(
        source=source.kind,
        public=source.public,
        start=window.start,
        end=window.end,
        blocks=names,
        digest_keyed=digest.keyed(digest_key(home), digest.of_json(files)),
        simulator=_simulator(source),
    )


def _simulator(source: Source) -> int | None:
    """Return the version of the simulator that `source` is."""
    return shop.VERSION if source.kind == "shop" else None


def _nothing(source: Source, window: Window, reasons: Counter[str]) -> ContractBroken:
    between = f"between {window.start or 'the beginning'} and {window.end or 'now'}"
    # What most rows of a private source lack is a figure about people, and this sentence leaves the trusted zone.
    told = source.public and reasons
    why = f"; most rows were quarantined as {reasons.most_common(1)[0][0]!r}" if told else ""
    return ContractBroken(
        f"The source {source.kind} has no event {between}{why}",
        value="0 events",
        limit="at least 1",
        next_step="Mend `window` or the source in params.yaml; nothing was written.",
    )


def _bounds(window: Window) -> tuple[Any, Any]:
    return tuple(
        bound and (bound if bound.tzinfo else bound.replace(tzinfo=UTC)) for bound in (window.start, window.end)
    )


def _utc(bound: datetime) -> str:
    return bound.astimezone(UTC).isoformat()

"""Check: the raw tables against their suites, and the volume against the window before. It is the trusted zone."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from components.core.evidence import Record
from components.core.progress import Progress, no_progress
from components.stages.run import Run


def check(run: Run, progress: Progress = no_progress) -> None:
    """Check the raw tables against their suites into `data/checked`; rows that fail go to quarantine."""
    from components.quality.stage import check_raw

    folders = run.data / "raw", run.data / "checked", run.reports, run.root / "expectations"
    public = run.params.chosen_source.public
    check_raw(*folders, window=run.params.window, public=public, previous_events=_previous_events(run))
    _remember_events(run)


class _Volumes(Record):
    """Events of the windows that passed, by window: exact, so it stays in the trusted zone of `JALI_HOME`."""

    kind: ClassVar[str] = "volumes"
    events: dict[str, int]


def _volumes(run: Run) -> tuple[Path, _Volumes]:
    path = run.settings.home / "volumes" / f"{run.params.source}.json"
    return path, _Volumes.read(path) if path.exists() else _Volumes(events={})


def _previous_events(run: Run) -> int | None:
    """Return the events of the window of equal length that ends where this one starts; None where there was none."""
    start, end = run.params.window.start, run.params.window.end
    if start is None or end is None:
        return None
    return _volumes(run)[1].events.get(_span(start - (end - start), start))


def _remember_events(run: Run) -> None:
    start, end = run.params.window.start, run.params.window.end
    if start is None or end is None:
        return
    counts = json.loads((run.data / "raw" / "counts.json").read_text())
    path, known = _volumes(run)
    known.model_copy(update={"events": known.events | {_span(start, end): counts["events"]}}).write(path)


def _span(start: datetime, end: datetime) -> str:
    return f"{start.isoformat()} to {end.isoformat()}"

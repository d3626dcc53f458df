"""The data stages: collect → check → prepare (and check) → split. All of it is the trusted zone."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from components.core import digest
from components.core.evidence import Record
from components.core.progress import Progress, no_progress
from components.core.records import DataCheck, Dataset
from components.stages.run import Run


def collect(run: Run, progress: Progress = no_progress) -> None:
    """Bring the source's window into `data/raw`, pseudonymised."""
    from components.data import collect as room
    from components.data.sources import open_source

    source = run.params.chosen_source
    reader = open_source(source, run.settings.home / "wheels")
    window, block = run.params.window, run.params.privacy.block
    room.collect(reader, source, window, block, run.settings.home, run.data / "raw", progress=progress)


def check(run: Run, progress: Progress = no_progress) -> None:
    """Check the raw tables against their suites into `data/checked`; rows that fail go to quarantine."""
    from components.quality.stage import check_raw

    folders = run.data / "raw", run.data / "checked", run.reports, run.root / "expectations"
    check_raw(*folders, window=run.params.window, previous_events=_previous_events(run))
    _remember_events(run)


def prepare(run: Run, progress: Progress = no_progress) -> None:
    """Turn checked events into bounded interactions in `data/prepared`, and check those too."""
    from components.data.prepare import prepare as room
    from components.quality.stage import check_prepared

    checked, prepared, params = run.data / "checked", run.data / "prepared", run.params
    events, items = checked / "events.parquet", checked / "items.parquet"
    room(events, items, params.prepare, params.privacy.block, prepared, progress=progress)
    suites, bound = run.root / "expectations", params.prepare.max_items_per_user
    check_prepared(prepared, run.reports, suites, services=list(params.services), max_items_per_user=bound)


def split(run: Run, progress: Progress = no_progress) -> Dataset:
    """Divide the users into `data/split`, and leave the record that names the dataset from here on."""
    from components.data.collect import Collected
    from components.data.pseudonym import digest_key
    from components.data.split import split as room

    paths = room(run.data / "prepared", run.params.split, run.data / "split", progress=progress)
    collected = Collected.read(run.data / "raw" / "collected.json")
    content = digest.of_json({name: digest.of_path(path) for name, path in paths.items()})
    dataset = Dataset(
        source=run.params.source,
        public=collected.public,
        start=collected.start,
        end=collected.end,
        blocks=collected.blocks,
        digest_keyed=digest.keyed(digest_key(run.settings.home), content),
        checks=tuple(check.digest for check in data_checks(run)),
    )
    dataset.write(run.data / "split" / "dataset.json")
    return dataset


def data_checks(run: Run) -> tuple[DataCheck, ...]:
    """Return the evidence of every check that this dataset went through."""
    paths = [*(run.data / "checked").glob("*-check.json"), *(run.data / "prepared").glob("*-check.json")]
    return tuple(DataCheck.read(path) for path in sorted(paths))


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

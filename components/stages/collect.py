"""Collect: from a source to raw tables, pseudonymised before the first tracked byte. It is the trusted zone."""

from __future__ import annotations

from components.core.progress import Progress, no_progress
from components.stages.run import Run


def collect(run: Run, progress: Progress = no_progress) -> None:
    """Bring the source's window into `data/raw`, pseudonymised."""
    from components.data.collect import collect as collect_source
    from components.data.rows import as_written
    from components.data.sources import open_source
    from components.language.redact import redact

    source = run.params.chosen_source
    reader = open_source(source, run.settings.home / "wheels")
    window, block = run.params.window, run.params.privacy.block
    whose = run.params.collect.redact
    said = redact if whose == "all" or (whose == "private" and not source.public) else as_written
    out = run.data / "raw"
    collect_source(reader, source, window, block, run.settings.home, out, redact=said, progress=progress)

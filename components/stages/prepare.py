"""Prepare: from checked tables to bounded ones, checked in their turn. It is the trusted zone."""

from __future__ import annotations

from components.core.progress import Progress, no_progress
from components.stages.run import Run


def prepare(run: Run, progress: Progress = no_progress) -> None:
    """Turn checked tables into bounded ones in `data/prepared`, as the services read them, and check those too."""
    from components.data.activity import extend
    from components.data.prepare import prepare as prepare_interactions
    from components.quality.stage import check_prepared

    prepared, params = run.data / "prepared", run.params
    events, items = run.table("checked", "events"), run.table("checked", "items")
    prepare_interactions(events, items, params.prepare, params.privacy.block, prepared, progress=progress)
    extend(events.parent, params.prepare, params.privacy.block, prepared, progress=progress)
    check_prepared(
        prepared,
        run.reports,
        run.root / "expectations",
        services=list(params.services),
        max_items_per_user=params.prepare.max_items_per_user,
        max_events_per_user=params.prepare.max_events_per_user,
        max_messages_per_user=params.prepare.max_messages_per_user,
        public=params.chosen_source.public,
    )

"""Prepare: from checked tables to bounded ones, checked in their turn. It is the trusted zone."""

from __future__ import annotations

from components.core.progress import Progress, no_progress
from components.stages.retire import blocks_read
from components.stages.run import Run


def prepare(run: Run, progress: Progress = no_progress) -> None:
    """Turn checked tables into bounded ones in `data/prepared`, as the services read them, and check those too.

    Blocks that are spent are left out here already: bounding looks at all that it is given of a user, and what is
    charged to some blocks may depend on no other.

    Raises:
        BudgetExhausted: every block of the window is spent.
    """
    from components.data.activity import extend
    from components.data.collect import Collected
    from components.data.prepare import prepare as prepare_interactions
    from components.quality.stage import check_prepared

    prepared, params = run.data / "prepared", run.params
    events, items = run.table("checked", "events"), run.table("checked", "items")
    collected = Collected.read(run.data / "raw" / "collected.json")
    blocks = blocks_read(run, collected.digest, collected.blocks).fresh
    shaped = params.prepare, params.privacy.block
    prepare_interactions(events, items, *shaped, prepared, blocks=blocks, progress=progress)
    window = collected.start, collected.end
    extend(events.parent, *shaped, prepared, blocks=blocks, window=window, progress=progress)
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

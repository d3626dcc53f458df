"""Split: disjoint users for train, validation and test. It is the trusted zone; the dataset's record is released."""

from __future__ import annotations

from components.core import digest
from components.core.progress import Progress, no_progress
from components.core.records import Dataset
from components.stages.dataset import data_checks
from components.stages.retire import blocks_read
from components.stages.run import Run


def split(run: Run, progress: Progress = no_progress) -> Dataset:
    """Divide the users into `data/split`, and leave the record that names the dataset from here on.

    Raises:
        BudgetExhausted: every block of the window is spent.
    """
    from components.data.collect import Collected
    from components.data.pseudonym import digest_key
    from components.data.split import split as split_users

    collected = Collected.read(run.data / "raw" / "collected.json")
    prepared = run.table("prepared", "interactions").parent
    blocks = blocks_read(run, collected.digest, collected.blocks).fresh
    paths = split_users(prepared, run.params.split, run.data / "split", blocks=blocks, progress=progress)
    content = digest.of_json({name: digest.of_path(path) for name, path in paths.items()})
    dataset = Dataset(
        source=run.params.source,
        public=collected.public,
        start=collected.start,
        end=collected.end,
        blocks=blocks,
        digest_keyed=digest.keyed(digest_key(run.settings.home), content),
        checks=tuple(check.digest for check in data_checks(run)),
        simulator=collected.simulator,
    )
    dataset.write(run.data / "split" / "dataset.json")
    return dataset

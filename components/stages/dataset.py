"""What the data stages leave for all that follow: the dataset's record, and the evidence of its checks."""

from __future__ import annotations

from components.core.records import DataCheck, Dataset
from components.stages.run import Run


def dataset_of(run: Run) -> Dataset:
    """Return the record of the workspace's dataset."""
    return Dataset.read(run.data / "split" / "dataset.json")


def data_checks(run: Run) -> tuple[DataCheck, ...]:
    """Return the evidence of every check that this dataset went through."""
    paths = [*(run.data / "checked").glob("*-check.json"), *(run.data / "prepared").glob("*-check.json")]
    return tuple(DataCheck.read(path) for path in sorted(paths))

"""The record that names a dataset, the request for a training on it, and windows that were processed before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from components.core import digest
from components.core.errors import ApprovalInvalid, ContractBroken, Misconfigured, Refused
from components.core.params import load
from components.core.records import DataCheck, Dataset
from components.data import versioning
from components.data.collect import Collected
from components.stages import request, workspace
from components.stages.dataset import data_checks, dataset_of
from components.stages.run import Run
from components.stages.split import split
from tests.unit.stages.conftest import CHECKOUT, but, write_prepared

WINDOW = {"start": "2024-01-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"}


def test_the_dataset_names_its_source_blocks_and_every_check(divided: Run) -> None:
    found = dataset_of(divided)
    assert (found.source, found.public, found.blocks) == ("shop", True, ("2024Q1",))
    assert len(found.checks) == 3
    assert set(found.checks) == {check.digest for check in data_checks(divided)}


def test_the_dataset_says_which_simulator_made_it(prepared: Run) -> None:
    path = prepared.data / "raw" / "collected.json"
    Collected.read(path).model_copy(update={"simulator": 2}).write(path)
    assert split(prepared).simulator == dataset_of(prepared).simulator == 2


def test_the_same_tables_are_the_same_dataset_and_a_row_more_is_another_one(prepared: Run) -> None:
    first = split(prepared)
    assert split(prepared) == first
    rows = pq.read_table(prepared.data / "prepared" / "interactions.parquet").to_pylist()
    write_prepared(prepared, [*rows, {**rows[0], "item": "I6"}])
    assert split(prepared).digest_keyed != first.digest_keyed


def test_the_datasets_public_digest_is_keyed(divided: Run, tmp_path: Path) -> None:
    names = ("train", "validation", "test")
    plain = digest.of_json({name: digest.of_path(divided.data / "split" / name) for name in names})
    assert dataset_of(divided).digest_keyed != plain
    (tmp_path / "home" / "pseudonym.key").unlink()
    assert split(divided).digest_keyed != digest.keyed(b"", plain)


def test_a_dataset_with_another_check_is_another_dataset(prepared: Run) -> None:
    first = split(prepared)
    loosened = DataCheck(table="events", suite="c" * 64, passed=True)
    loosened.write(prepared.data / "checked" / "events-check.json")
    assert split(prepared).digest != first.digest


def test_a_training_that_nobody_asked_for_has_an_unsigned_request(divided: Run) -> None:
    asked = request.request_of(divided, "toy")
    assert (asked.author, asked.signature) == ("", "")
    assert (asked.dataset, asked.epsilon) == (dataset_of(divided).digest, divided.params.training.epsilon)


def test_a_signed_request_is_for_that_dataset_and_that_epsilon_alone(divided: Run) -> None:
    from components.registry import identities

    home, reviewed = divided.settings.home, divided.settings.identities
    identities.new_key(home, "ada")
    identities.add(reviewed, "ada", identities.public_key(home, "ada"))
    signed = request.request_training(divided, "toy", "ada")
    assert signed.author == "ada"
    assert signed.signature
    assert request.request_of(divided, "toy") == signed
    assert request.request_of(but(divided, training={"epsilon": 1.0}), "toy").author == ""
    rows = pq.read_table(divided.data / "prepared" / "interactions.parquet").to_pylist()
    write_prepared(divided, rows[1:])
    split(divided)
    assert request.request_of(divided, "toy").author == ""


def test_nothing_is_trained_for_an_author_whom_the_reviewed_file_does_not_know(divided: Run) -> None:
    from components.registry import identities

    identities.new_key(divided.settings.home, "ada")
    with pytest.raises((ApprovalInvalid, Misconfigured)):
        request.request_training(divided, "toy", "ada")


def made(run: Run, monkeypatch: pytest.MonkeyPatch, key: str = "a" * 64) -> Dataset:
    """What the data stages leave, without running them."""

    def reproduce(root: Path, target: str, **_: object) -> None:
        window = run.params.window
        Dataset(
            source="shop",
            public=True,
            start=window.start,
            end=window.end,
            blocks=("2024Q1",),
            digest_keyed=key,
            checks=(),
        ).write(root / "data" / "split" / "dataset.json")

    monkeypatch.setattr(versioning, "reproduce", reproduce)
    return workspace.version(run)


def test_a_window_that_comes_again_with_the_same_rows_is_the_same_dataset(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded = but(run, window=WINDOW)
    assert made(bounded, monkeypatch) == made(bounded, monkeypatch)


def test_a_window_that_was_processed_with_other_rows_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded = but(run, window=WINDOW)
    made(bounded, monkeypatch)
    with pytest.raises(ContractBroken, match=r"processed before with other rows .*found bbbb.*limit aaaa"):
        made(bounded, monkeypatch, "b" * 64)
    made(bounded, monkeypatch)


def test_an_open_window_grows_and_is_another_dataset_each_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made(run, monkeypatch)
    assert made(run, monkeypatch, "b" * 64).digest_keyed == "b" * 64


def test_a_window_prepared_in_another_way_is_another_dataset(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded = but(run, window=WINDOW)
    made(bounded, monkeypatch)
    made(but(bounded, prepare={"max_items_per_user": 7}), monkeypatch, "b" * 64)


def test_training_on_a_source_without_a_dataset_says_how_to_make_one(run: Run, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    load(CHECKOUT / "params.yaml").write(checkout / "params.yaml")
    for name in ("components", "expectations"):
        (checkout / name).mkdir()
    (checkout / "dvc.yaml").write_text("stages: {}\n")
    with pytest.raises(Refused, match=r"no dataset of shop to train on\. Run `jali run dataset --source shop`"):
        workspace.open_training("shop")


@pytest.mark.slow
def test_the_volume_is_compared_with_the_window_of_equal_length_just_before(run: Run) -> None:
    from components.stages.check import check
    from tests.unit.stages.raw import raw_tables

    start = datetime(2024, 1, 1, tzinfo=UTC)
    for number, events in enumerate([400, 420, 100]):
        window = {"start": start + number * timedelta(days=7), "end": start + (number + 1) * timedelta(days=7)}
        week = but(run, window={side: bound.isoformat() for side, bound in window.items()})
        raw_tables(week, events, window["start"])
        if events > 200:
            check(week)
        else:
            with pytest.raises(ContractBroken, match="volume"):
                check(week)

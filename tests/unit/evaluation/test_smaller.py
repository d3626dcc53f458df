"""Which smaller form of a bundle goes on, and what is said of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from components.core import digest
from components.core.params import SmallerBundles
from components.core.service import Smaller
from components.evaluation.smaller import Shrunk, shrink

from .toy import service

LIMITS = SmallerBundles(most_slower=1000, times_faster=1000, times_smaller=3, most_loss=0.02)
SAID = "No smaller form was good enough ({} tried): it is as it was."


def nothing(folder: Path, out: Path) -> None:
    shutil.copytree(folder, out, dirs_exist_ok=True)


def cut(digits: int) -> Callable[[Path, Path], None]:
    def way(folder: Path, out: Path) -> None:
        (out / "number").write_text((folder / "number").read_text()[: 2 + digits])

    return way


def shrunk(
    folder: Path, limits: SmallerBundles = LIMITS, rows: int = 50, **ways: Callable[[Path, Path], None]
) -> Shrunk:
    for name in ("whole", "forms"):
        (folder / name).mkdir()
    (folder / "whole" / "number").write_text("0.123456789012345")
    smaller = Smaller(ways=ways, simulated=lambda bundle, seed: np.full(rows, 0.2))
    return shrink(service(smaller=smaller), "deep", folder / "whole", limits, folder / "forms")


def test_of_several_that_are_good_enough_the_smallest_goes_on(tmp_path: Path) -> None:
    form = shrunk(tmp_path, three=cut(3), one=cut(1), two=cut(2))
    losses = {one.way: one.loss for one in form.tried}
    assert losses["one"] > losses["two"] > losses["three"] > 0
    assert [one.accepted for one in form.tried] == [True, False, True]
    assert form.way == "two"
    assert form.bundle == digest.of_path(tmp_path / "forms" / "two") != form.whole
    assert form.sentence().startswith("It is 4.2 times smaller than what was released (two)")


def test_a_way_that_changes_nothing_is_none_that_goes_on(tmp_path: Path) -> None:
    form = shrunk(tmp_path, int8=nothing)
    assert form.tried[0].bundle == form.bundle == form.whole
    assert not form.tried[0].accepted
    assert form.way is None
    assert form.sentence() == SAID.format("int8")


@pytest.mark.parametrize("rows", [0, 1])
def test_where_too_few_tell_what_is_lost_nothing_goes_on(tmp_path: Path, rows: int) -> None:
    form = shrunk(tmp_path, rows=rows, three=cut(3))
    assert (form.tried[0].loss, form.tried[0].most_loss, form.way) == (1.0, 1.0, None)
    assert np.isfinite(form.value)

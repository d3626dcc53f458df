"""Simulated people of a ranker of ads, and its smaller form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from components.core.params import SmallerBundles
from components.evaluation.smaller import shrink
from components.services.ads import SERVICE
from components.services.ads.bundle import read_bundle, write_bundle
from components.services.ads.data import BEFORE, SLOTS, shown
from components.services.ads.forward import probabilities
from components.services.ads.smaller import IMPRESSIONS, USERS, simulated
from tests.unit.services.ads import shop


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ads")
    write_bundle(folder / "whole", shop.trained(folder / "rows"))
    return folder / "whole"


def test_simulated_people_click_as_often_as_the_bundle_says(bundle: Path) -> None:
    rows = simulated(bundle, 3)
    assert len(rows) == USERS
    owner, clicked, likely = probabilities(read_bundle(bundle), rows)
    assert np.array_equal(np.bincount(owner), np.full(USERS, IMPRESSIONS))
    error = np.sqrt((likely * (1 - likely)).sum())
    assert abs(clicked.sum() - likely.sum()) < 5 * error
    assert (rows.matrix != simulated(bundle, 3).matrix).nnz == 0


def test_what_they_did_before_an_impression_is_what_they_looked_at(bundle: Path) -> None:
    rows = simulated(bundle, 3)
    these = shown(rows)
    many = np.diff(these.looks.starts)
    assert np.all(these.cells[:, BEFORE] <= many[these.owner])
    assert rows.matrix.shape[1] == IMPRESSIONS * SLOTS + many.max()


def test_its_smaller_form_is_measured(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    form = shrink(SERVICE, "network", bundle, SmallerBundles(), tmp_path / "scratch")
    assert [one.way for one in form.tried] == ["int8"]
    assert form.tried[0].most_loss < 0.005

"""The forward pass that serves is that of the network that was trained, and its contributions add up to its score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.privacy.rows import SparseRows
from components.services.ads.bundle import Bundle
from components.services.ads.ceiling import ceiling
from components.services.ads.data import AD, BEFORE, CLICKED, HOUR, POSITION, Catalogue, Looks, Shown, shown
from components.services.ads.features import moved
from components.services.ads.figures import figures
from components.services.ads.forward import contributions, known, logits, probabilities
from components.services.ads.inputs import inputs
from components.services.ads.network import ceiling_steps
from components.services.ads.params import AdsParams, NetworkParams
from components.services.ads.scoring import lines

from .shop import crowd, rows_of, trained


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return trained(tmp_path_factory.mktemp("ads"))


@pytest.fixture(scope="module")
def some(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    return shown(rows_of(tmp_path_factory.mktemp("some"), crowd(8, seed=9)))


def network_of(bundle: Bundle):  # type: ignore[no-untyped-def]
    """Return the torch module with the bundle's weights."""
    import torch

    from components.services.ads.network import module

    made = module(bundle, NetworkParams(width=3, hidden=5))
    made.load_state_dict({name: torch.from_numpy(bundle.arrays[name].copy()) for name in made.state_dict()})
    return made.double()


def test_numpy_answers_what_the_trained_network_answers(bundle: Bundle, tmp_path: Path) -> None:
    import torch

    rows = rows_of(tmp_path, crowd(8, seed=9))
    matrix = inputs(rows, bundle)
    batch = SparseRows(
        torch.from_numpy(matrix.indptr.astype(np.int64)),
        torch.from_numpy(matrix.indices.astype(np.int64)),
        torch.from_numpy(matrix.data.astype(np.float64)),
        matrix.shape[1],
    )
    theirs = network_of(bundle).losses(batch).detach().numpy()
    owner, clicked, likely = probabilities(bundle, rows)
    ours = np.bincount(owner, -np.log(np.where(clicked, likely, 1 - likely))) / np.bincount(owner)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_contributions_add_up_to_the_score(bundle: Bundle, some: Shown) -> None:
    _, parts = contributions(bundle, some)
    nothing = np.zeros_like(some.cells[:1])
    start = logits(bundle, Shown(np.zeros(1, np.int64), nothing, Looks(np.array([0, 0]), np.empty(0, np.int64))))
    experience = known(bundle, some)
    assert np.abs(experience).max() > 0.1
    np.testing.assert_allclose(parts.sum(axis=1), logits(bundle, some) - start[0], atol=1e-9)


def test_the_deep_parts_contributions_are_captums_integrated_gradients(bundle: Bundle, some: Shown) -> None:
    captum = pytest.importorskip("captum.attr")
    import torch

    from components.services.ads.features import numbered
    from components.services.ads.forward import _inside, _integrated

    network = network_of(bundle)
    ids, told = numbered(bundle.space, some.cells), known(bundle, some)
    last = _inside(bundle.weights, ids, told)
    first = _inside(bundle.weights, np.broadcast_to(bundle.space.starts, ids.shape), np.zeros_like(told))
    deep = captum.IntegratedGradients(lambda inside: network.outer(torch.tanh(network.inner(inside)))[:, 0])
    theirs = deep.attribute(torch.from_numpy(last), torch.from_numpy(first), n_steps=64)
    np.testing.assert_allclose(_integrated(bundle.weights, last, first), theirs.numpy(), atol=1e-8)


def test_a_look_at_what_goes_with_an_item_raises_its_liking_and_an_unlike_one_lowers_it(bundle: Bundle) -> None:
    cells = np.zeros((3, 5), np.float32)
    cells[:, AD], cells[:, BEFORE] = 1, [1, 1, 0]  # ad 0 is of item 0, tea
    looks = Looks(np.array([0, 1, 2, 2]), np.array([2, 3]))  # tea, coffee
    told = figures(
        bundle.catalogue, bundle.arrays["column"], bundle.arrays["pairs"], Shown(np.arange(3), cells, looks), at_once=2
    )
    assert told[0, 0] > 0.05 > -0.05 > told[1, 0]
    assert told[0, 1] > 0 > told[1, 1]
    np.testing.assert_array_equal(told[2], [0, 0, 0, 0])


def test_a_look_at_what_the_version_does_not_list_says_nothing(bundle: Bundle, some: Shown) -> None:
    kept = [place for place, item in enumerate(bundle.catalogue.items_place) if item != "i04"]
    fewer = Catalogue(bundle.catalogue.ads.slice(1), bundle.catalogue.items.take(kept))
    there = moved(some, bundle.catalogue, fewer)
    assert (there.cells[some.cells[:, AD] == 1, AD] == 0).all(), "the first ad is not listed there"
    assert (there.cells[:, AD] == np.maximum(some.cells[:, AD] - 1, 0)).all()
    assert (there.looks.items < 0).sum() == (some.looks.items == 4).sum() > 0
    back = moved(there, fewer, fewer)
    np.testing.assert_array_equal(back.cells, there.cells)


def test_position_is_a_feature_and_the_floor_knows_no_user(bundle: Bundle, some: Shown, tmp_path: Path) -> None:
    rates = Bundle(bundle.config.model_copy(update={"kind": "rates"}), bundle.arrays, bundle.catalogue)
    nobody = Shown(some.owner, some.cells.copy(), some.looks)
    nobody.cells[:, BEFORE] = 0
    np.testing.assert_array_equal(logits(rates, some), logits(rates, nobody))
    assert not np.allclose(logits(bundle, some), logits(bundle, nobody))
    first, third = (replace(some, cells=some.cells.copy()) for _ in range(2))
    first.cells[:, POSITION], third.cells[:, POSITION] = 1, 3
    assert not np.allclose(logits(rates, first), logits(rates, third))
    assert CLICKED == len(some.cells[0]) - 1 > HOUR


def test_the_network_ranks_people_of_two_tastes_better_than_the_floor(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, crowd(300))
    found = ceiling(rows, rows, rows.catalogue, AdsParams(network=NetworkParams(ceiling_steps=40)))
    assert found["network"]["auc"] > found["rates"]["auc"] + 0.1
    assert found["network"]["log_loss"] < found["rates"]["log_loss"]


def test_who_is_shown_more_counts_no_more(bundle: Bundle, tmp_path: Path) -> None:
    values = lines(bundle, rows_of(tmp_path, crowd(8)))
    assert values.shape == (8, 1)
    assert np.all((values >= 0) & (values <= 1))


def test_without_privacy_few_people_are_not_learnt_by_heart() -> None:
    params = NetworkParams()
    assert ceiling_steps(4_776, params) < ceiling_steps(80_000, params) == params.ceiling_steps
    assert ceiling_steps(1, params) == 100
    assert ceiling_steps(1, NetworkParams(ceiling_steps=6)) == 6

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from components.services.recommend import autoencoder
from components.services.recommend.columns import partition
from components.services.recommend.data import Rows
from components.services.recommend.params import AutoencoderParams, RecommendParams
from components.services.recommend.scoring import lines, scores

from . import shop

torch = pytest.importorskip("torch")

PARAMS = AutoencoderParams(hidden=16, ceiling_steps=60, expected_batch_size=128)


def columns(limit: int = 30) -> autoencoder.Columns:
    return partition(shop.catalogue(), np.ones(30), limit=limit, enough=limit)


def untrained() -> torch.nn.Module:
    return autoencoder.network(columns(), np.full(30, 1 / 30), PARAMS)


def counted(users: int, seed: int = 1) -> np.ndarray:
    return shop.tastes(users, seed).toarray()


@pytest.mark.slow
def test_serving_without_pytorch_gives_what_the_network_gives() -> None:
    module = untrained()
    arrays = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    rows = np.vstack([counted(20), np.zeros(30, dtype=np.float32)])
    expected = torch.softmax(module(torch.from_numpy(rows)), dim=1).detach().numpy()
    np.testing.assert_allclose(autoencoder.taste(arrays, sparse.csr_array(rows)), expected, rtol=1e-4)


@pytest.mark.slow
def test_the_loss_is_of_hidden_items_given_the_others_and_hides_about_the_share_it_says() -> None:
    module = untrained()
    rows = torch.from_numpy(counted(2000)) * 3
    part = module._hidden_part(rows)
    assert torch.all(part[rows == 0] == 0)
    hidden = float((part * rows).sum() / rows.sum())
    assert hidden == pytest.approx(0.5, abs=0.02)
    assert module.losses(rows).shape == (2000,)


@pytest.mark.slow
def test_a_row_with_nothing_in_it_has_no_loss() -> None:
    module = untrained()
    loss = module.losses(torch.zeros(2, 30))
    assert loss.tolist() == [0.0, 0.0]


@pytest.mark.slow
def test_before_training_it_says_more_of_the_categories_that_are_there() -> None:
    module = autoencoder.network(columns(), np.full(30, 1 / 30), PARAMS.model_copy(update={"hidden": 256}))
    arrays = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    taste = autoencoder.taste(arrays, sparse.csr_array(np.eye(30, dtype=np.float32)))
    kind = columns().levels[0]
    kin = kind[:, None] == kind[None, :]
    off = ~np.eye(30, dtype=bool)
    assert taste[kin & off].mean() > 1.5 * taste[~kin].mean()


@pytest.mark.slow
def test_without_privacy_it_beats_the_floor_on_tastes_that_are_there() -> None:
    floor = shop.floor(np.ones(30, dtype=np.float32))
    parts = columns(6)
    blind = PARAMS.model_copy(update={"kinship": 0.5})
    bundle, _ = autoencoder.train(parts.count(shop.tastes(1500)), parts, floor, blind, plan=None)
    test = Rows(shop.tastes(200, seed=2), shop.catalogue())
    ndcg = [lines(lambda h, b=b: scores(b, h), test, 0)[:, 0].mean() for b in (bundle, floor)]
    assert ndcg[0] > ndcg[1] + 0.05


@pytest.mark.slow
def test_its_plan_is_one_private_training_on_the_columns() -> None:
    params = RecommendParams(autoencoder={"steps": 5, "expected_batch_size": 10})
    plan = autoencoder.Autoencoder().plan(mu=1.0, delta=1e-5, population=100, params=params, floor=None)
    assert (plan.event.steps, plan.event.sample_rate) == (5, 0.1)
    assert plan.sensitivity == params.autoencoder.max_grad_norm

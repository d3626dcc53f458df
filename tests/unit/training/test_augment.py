"""Augmentation stays within the row, so that what one user can do to a step is what it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as lightning
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from torch import Tensor, nn

from components.core.errors import ContractBroken, Misconfigured
from components.privacy.plan import PrivacyPlan
from components.privacy.release import Event
from components.privacy.replay import Replayed, replay
from components.privacy.rows import SparseRows
from components.training.augment import item_dropout
from components.training.batches import take_sparse
from components.training.fit import fit

BASKETS = st.lists(st.lists(st.integers(0, 4), min_size=8, max_size=8), min_size=2, max_size=6)


def augmented(rows: Any, rate: float = 0.4, seed: int = 3) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return item_dropout(rows, rate)


def as_sparse(rows: Tensor) -> SparseRows:
    return take_sparse(sparse.csr_array(rows.numpy()), np.arange(len(rows)))


@given(baskets=BASKETS, other=st.lists(st.integers(0, 4), min_size=8, max_size=8), place=st.integers(0, 5))
@settings(deadline=None)
def test_what_becomes_of_a_row_depends_on_that_row_alone(
    baskets: list[list[int]], other: list[int], place: int
) -> None:
    place %= len(baskets)
    rows = torch.tensor(baskets, dtype=torch.float32)
    before = augmented(rows)
    changed = rows.clone()
    changed[place] = torch.tensor(other, dtype=torch.float32)
    after = augmented(changed)
    others = [row for row in range(len(rows)) if row != place]
    assert torch.equal(before[others], after[others])
    assert torch.equal(augmented(torch.cat([rows, changed[place : place + 1]]))[: len(rows)], before)


@given(baskets=BASKETS)
@settings(deadline=None)
def test_rows_that_are_sparse_become_what_dense_ones_do(baskets: list[list[int]]) -> None:
    rows = torch.tensor(baskets, dtype=torch.float32)
    assert torch.equal(augmented(as_sparse(rows)).dense(), augmented(rows))


@given(baskets=BASKETS, rate=st.floats(0, 0.99))
@settings(deadline=None)
def test_items_are_left_out_and_none_is_made(baskets: list[list[int]], rate: float) -> None:
    rows = torch.tensor(baskets, dtype=torch.float32)
    less = augmented(rows, rate)
    assert bool((less <= rows).all())
    assert torch.allclose(less, less.round(), atol=1e-5), "of an entry that counts items whole ones stay"
    assert rate > 0 or less is rows


def test_each_item_is_left_out_at_the_rate_on_its_own_and_anew_at_every_step() -> None:
    rows = torch.full((300, 40), 3.0)
    one, two = augmented(rows, 0.3, seed=1), augmented(rows, 0.3, seed=2)
    assert float(one.mean() / 3) == pytest.approx(0.7, abs=0.01)
    stay = [float((one.round() == count).float().mean()) for count in range(4)]
    assert stay == pytest.approx([0.027, 0.189, 0.441, 0.343], abs=0.015), "a binomial part of three"
    assert abs(float(torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1])) < 0.03
    beside = torch.corrcoef(one[:30])
    assert float((beside - torch.eye(30)).abs().max()) < 0.8, "rows are drawn for apart"


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(Misconfigured, match="item_dropout"):
        item_dropout(torch.ones(2, 2), rate)


class Net(lightning.LightningModule):
    """A linear reconstruction of what is left of a row."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.change = nn.Linear(6, 6), change
        with torch.no_grad():
            self.layer.weight.fill_(0.1)
            self.layer.bias.zero_()

    def losses(self, rows: Tensor) -> Tensor:
        rows = self.change(rows)
        return ((self.layer(rows) - 5 * rows) ** 2).sum(dim=1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


PLAN = PrivacyPlan(
    delta=1e-5, noise_multiplier=4.0, sample_rate=0.5, max_grad_norm=1.0, steps=6, expected_batch_size=8.0
)


def replayed(change: Callable[[Tensor], Tensor]) -> Replayed:
    people = np.random.default_rng(1).poisson(1.0, (20, 6)).astype(np.float32)
    rows = [sparse.csr_array(people), sparse.csr_array(np.vstack([people, np.full((1, 6), 9.0, dtype=np.float32)]))]

    def mechanism(value: Any, intend: Callable[[int], None], out: Path) -> Event:
        module = Net(change)
        fitted = fit(module, value, plan=PLAN, intend=intend)
        np.save(out / "weights.npy", module.layer.weight.detach().numpy())
        return PLAN.event.model_copy(update={"steps": fitted.steps})

    return replay(mechanism, PLAN, rows[0], neighbours={"one more": rows[1]}, nobody=sparse.csr_array(people[:0]))


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_replayed_with_one_more_user_a_training_with_augmentation_keeps_its_sensitivity(rate: float) -> None:
    found = replayed(lambda rows: item_dropout(rows, rate))
    assert found.faults == ()
    assert 0.5 < found.moved["one more"] <= 1.001


@pytest.mark.slow
def test_an_augmentation_that_reads_other_rows_is_refused_before_it_trains() -> None:
    with pytest.raises(ContractBroken, match="One row acts on another"):
        replayed(lambda rows: rows + rows.mean(dim=0))

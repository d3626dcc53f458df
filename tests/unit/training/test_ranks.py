"""Two processes on a CPU (gloo): the sum is one process's, the noise is added once, the ledger asked once."""

import multiprocessing

import numpy as np
import pytest
import torch
from torch import nn

from components.privacy.canaries import Canaries
from components.privacy.plan import PerformanceFlags
from components.training import fit as room
from components.training.fit import fit
from components.training.ranks import Rank
from tests.unit.training.toy import ITEMS, Autoencoder, Intents, plan_of, rows_of, vector

TWO = PerformanceFlags(devices=2, accelerator="cpu")


class Noted(torch.optim.SGD):
    """Leaves what each rank learnt in a folder."""

    folder = None

    def step(self, closure=None):
        super().step(closure)
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else "alone"
        if self.folder:
            weights = [parameter for group in self.param_groups for parameter in group["params"]]
            torch.save(torch.cat([one.detach().flatten() for one in weights]), self.folder / f"{rank}.pt")


class Model(Autoencoder):
    """The toy; it may have a layer that nothing moves but noise."""

    def __init__(self, folder=None, *, idle=0):
        super().__init__()
        self.folder = folder
        self.idle = nn.Linear(ITEMS, idle, bias=False) if idle else None

    def losses(self, batch):
        return super().losses(batch) + (0.0 * self.idle(batch).sum(dim=1) if self.idle else 0.0)

    def configure_optimizers(self):
        optimizer = Noted(self.parameters(), lr=1.0)
        optimizer.folder = self.folder
        return optimizer


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_two_processes_learn_what_one_learns_and_the_ledger_is_asked_once_a_step(tmp_path):
    plan = plan_of(noise_multiplier=1e-12, sample_rate=1.0, steps=3)  # 1e-12: nothing in single precision
    rows, ends = rows_of(61), []
    for flags in (PerformanceFlags(accelerator="cpu"), TWO):
        torch.manual_seed(0)
        module, intents = Model(tmp_path), Intents()
        fitted = fit(module, rows, plan=plan, intend=intents, flags=flags)
        assert fitted.steps == intents.steps == 3
        ends.append(vector(module))
    torch.testing.assert_close(*ends, rtol=1e-5, atol=1e-5)
    others = [torch.load(tmp_path / name) for name in ("alone.pt", "0.pt", "1.pt")]
    torch.testing.assert_close(others[0], others[1], rtol=1e-5, atol=1e-5)
    assert torch.equal(others[1], others[2])  # the ranks never part
    assert not multiprocessing.active_children()


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_the_noise_of_two_processes_is_added_once_and_they_stop_where_nothing_more_is_held(tmp_path):
    plan = plan_of(noise_multiplier=3.0, max_grad_norm=0.5, expected_batch_size=10.0, steps=9)
    module = Model(tmp_path, idle=2_000)
    before, intents = module.idle.weight.detach().clone(), Intents(held=1)
    fitted = fit(module, rows_of(40), plan=plan, intend=intents, flags=TWO)
    assert fitted.steps == intents.steps == 1
    change = module.idle.weight.detach() - before
    assert float(change.std()) == pytest.approx(3.0 * 0.5 / 10.0, rel=0.02)  # twice would be √2 times that
    assert torch.equal(torch.load(tmp_path / "0.pt"), torch.load(tmp_path / "1.pt"))


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_canaries_of_two_processes_weigh_what_one_user_may_and_move_no_weight_that_is_kept():
    plan = plan_of(noise_multiplier=1e-12, sample_rate=1.0, steps=3)
    rows, canaries, ends = rows_of(61), Canaries.flipped(200), []
    for flags, those in ((PerformanceFlags(accelerator="cpu"), None), (TWO, canaries)):
        torch.manual_seed(0)
        module = Model()
        fit(module, rows, plan=plan, intend=Intents(), flags=flags, canaries=those)
        ends.append(vector(module))
    torch.testing.assert_close(*ends, rtol=1e-5, atol=1e-5)
    seen = canaries.required()
    assert seen.steps == 3
    np.testing.assert_allclose(seen.scores, canaries.users * canaries.inserted * np.sqrt(3), atol=1e-4)
    assert seen.null_square < 1e-12


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_training_that_is_cut_off_leaves_no_process_behind():
    class Crash(Exception):
        pass

    def intend(steps):
        raise Crash

    with pytest.raises(Crash):
        fit(Model(), rows_of(20), plan=plan_of(steps=3), intend=intend, flags=TWO)
    assert not multiprocessing.active_children()
    assert not torch.distributed.is_initialized()


def test_every_user_belongs_to_one_rank_and_is_sampled_there_with_the_plan_s_rate():
    rows = rows_of(1_001)
    everyone = plan_of(sample_rate=1.0)
    ranks = [room._sample(rows, everyone, Rank(number, 3))() for number in range(3)]
    np.testing.assert_array_equal(np.sort(np.concatenate(ranks)), np.arange(1_001))
    some = room._sample(rows, plan_of(sample_rate=0.1), Rank(1, 3))
    drawn = [some() for _ in range(300)]
    assert all((users % 3 == 1).all() for users in drawn)
    assert np.mean([len(users) for users in drawn]) == pytest.approx(0.1 * 1_001 / 3, rel=0.1)


def test_devices_are_for_private_training_alone():
    fitted = fit(Model(), rows_of(20), plan=None, steps=2, batch_size=5, flags=TWO)
    assert fitted.steps == 2

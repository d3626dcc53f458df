"""Canaries in a training: they are seen as they are, leave the model alone, and outlive a crash."""

import tracemalloc
from unittest.mock import patch

import numpy as np
import pytest
import torch

from components.core.errors import Misconfigured
from components.privacy import engine
from components.privacy.canaries import Canaries
from components.privacy.lower_bounds import largest_noise
from components.privacy.plan import PerformanceFlags
from components.training import checkpoint
from components.training.fit import fit
from tests.unit.training.toy import ITEMS, Autoencoder, Intents, plan_of, rows_of, vector

EVERYONE = plan_of(sample_rate=1.0, steps=4, expected_batch_size=400.0)


def noiseless(sums, sigma, scale=1.0):
    for buffer in sums:
        buffer.mul_(scale)


def trained(canaries=None, plan=EVERYONE, **options):
    torch.manual_seed(3)
    module = Autoencoder()
    fit(module, rows_of(), plan=plan, intend=Intents(), canaries=canaries, **options)
    return module


def test_canaries_move_no_weight_that_is_kept():
    with patch.object(engine, "add_noise_", noiseless):
        alone, beside = trained(), trained(Canaries.flipped(1000))
    torch.testing.assert_close(vector(beside), vector(alone), rtol=1e-4, atol=1e-6)
    assert set(beside.state_dict()) == set(alone.state_dict())


def test_a_canary_is_worth_one_clipping_norm_a_step():
    canaries = Canaries.flipped(200)
    with patch.object(engine, "add_noise_", noiseless):
        trained(canaries)
    seen = canaries.required()
    assert seen.steps == 4
    np.testing.assert_allclose(seen.scores, canaries.users * canaries.inserted * np.sqrt(4), atol=1e-4)
    assert (seen.null_mean, seen.null_square) == (0, 0)


def test_a_canary_is_sampled_like_everyone_else():
    canaries = Canaries(np.ones(400, dtype=np.int64), np.ones(400, dtype=bool))
    with patch.object(engine, "add_noise_", noiseless):
        trained(canaries, plan_of(steps=20, sample_rate=0.2))
    steps = np.array(canaries.required().scores) * np.sqrt(20)
    assert steps.mean() == pytest.approx(20 * 0.2, abs=5 * np.sqrt(20 * 0.2 * 0.8 / 400))
    assert steps.var() == pytest.approx(20 * 0.2 * 0.8, rel=0.4)


class Derived(torch.optim.Adam):
    """Of a class whose own step has hooks already: PyTorch gives this one's step hooks as well."""

    def step(self, closure=None):
        return super().step(closure)


def test_a_step_is_seen_once_though_a_derived_optimizer_runs_its_hooks_twice():
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    canaries, optimizer = Canaries.flipped(200), lambda self: Derived(self.parameters(), lr=self.learning_rate)
    with patch.object(engine, "add_noise_", noiseless), patch.object(Autoencoder, "configure_optimizers", optimizer):
        trained(canaries)
    seen = canaries.required()
    assert seen.steps == 4
    np.testing.assert_allclose(seen.scores, canaries.users * canaries.inserted * np.sqrt(4), atol=1e-4)


def test_a_step_on_nobody_is_seen_as_noise():
    canaries = Canaries.flipped(200)
    trained(canaries, plan_of(steps=3, sample_rate=1e-9))
    seen = canaries.required()
    assert seen.steps == 3
    assert np.std(seen.scores) == pytest.approx(0.5, rel=0.5)
    assert seen.null_square == pytest.approx(0.25, rel=0.5)


@pytest.mark.parametrize("mode", ["ghost", "hooks"])
def test_opacus_own_modes_see_the_same_canaries(mode):
    canaries = Canaries.flipped(200)
    with patch.object(engine, "add_noise_", noiseless):
        trained(canaries, flags=PerformanceFlags(grad_sample_mode=mode))
    np.testing.assert_allclose(canaries.required().scores, canaries.users * canaries.inserted * 2, atol=1e-4)


def test_nothing_of_a_canary_is_in_the_checkpoints_model(tmp_path):
    trained(Canaries.flipped(200), checkpoints=tmp_path)
    raw = torch.load(tmp_path / checkpoint.NAME, weights_only=True)
    assert set(raw["module"]) == set(Autoencoder().state_dict())


def test_a_training_that_is_resumed_goes_on_with_the_same_canaries_and_what_was_seen_of_them(tmp_path):
    first, second = Canaries.flipped(200), Canaries.flipped(200)

    def crash(done, of):
        if done == 3:
            raise KeyboardInterrupt

    with patch.object(engine, "add_noise_", noiseless):
        with pytest.raises((KeyboardInterrupt, SystemExit)):
            trained(first, checkpoints=tmp_path, checkpoint_every=1, progress=crash)
        assert first.observed is None
        trained(second, checkpoints=tmp_path, checkpoint_every=1)
    seen = second.required()
    np.testing.assert_array_equal(seen.inserted, first.inserted)
    assert seen.steps in (3, 4)
    np.testing.assert_allclose(seen.scores, first.users * first.inserted * np.sqrt(seen.steps), atol=1e-4)


@pytest.mark.slow
def test_the_engine_itself_is_refuted_with_half_of_its_noise_and_not_with_all_of_it():
    plan = plan_of(noise_multiplier=1.5, steps=60, sample_rate=0.1, expected_batch_size=40.0)
    honest, halved = Canaries.flipped(1000), Canaries.flipped(1000)
    trained(honest, plan)
    add_noise = engine.add_noise_
    with patch.object(engine, "add_noise_", lambda sums, sigma, scale: add_noise(sums, sigma / 2, scale)):
        trained(halved, plan)
    found = [largest_noise(one.required(), plan.event) / plan.noise_multiplier for one in (honest, halved)]
    assert 0.95 < found[0] < 2  # by chance it is below 1 once in a thousand runs
    assert found[1] < 1


def test_canaries_need_rows_in_a_matrix():
    rows = [torch.ones(30) for _ in range(4)]
    module = Autoencoder()
    module.example_input_array = torch.ones(2, 30)
    with pytest.raises(Misconfigured, match="canaries"):
        fit(module, rows, plan=EVERYONE, intend=Intents(), canaries=Canaries.flipped(200))


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor], ids=["an array", "a tensor"])
def test_dense_rows_train_beside_canaries_what_sparse_ones_do(kind):
    canaries = [Canaries(np.array([1, 3, 1]), np.array([True, True, False])) for _ in range(2)]
    modules = [Autoencoder() for _ in range(2)]
    modules[1].load_state_dict(modules[0].state_dict())
    with patch.object(engine, "add_noise_", noiseless):
        for module, rows, those in zip(modules, (rows_of(), kind(rows_of().toarray())), canaries, strict=True):
            fit(module, rows, plan=EVERYONE, intend=Intents(), canaries=those)
    torch.testing.assert_close(vector(modules[1]), vector(modules[0]), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(canaries[1].required().scores, canaries[0].required().scores, atol=1e-5)


def test_canaries_make_no_copy_of_dense_rows():
    rows, plan = np.ones((50_000, ITEMS), dtype=np.float32), plan_of(sample_rate=1e-3, steps=3)
    fit(Autoencoder(), rows[:10], plan=plan, intend=Intents())  # what is imported and cached at the first training
    tracemalloc.start()
    fit(Autoencoder(), rows, plan=plan, intend=Intents(), canaries=Canaries.flipped(200))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < rows.nbytes / 2

"""DP-SGD against a loop over users, and each classic mistake that it must not make."""

import inspect

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from components.core.errors import ContractBroken, Misconfigured
from components.privacy import engine
from components.privacy.engine import DPSGD, require_rows_apart
from components.privacy.plan import PerformanceFlags, PrivacyPlan
from tests.unit.privacy.builders import balance, open_ledger, private, release_of, verbs

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")

ITEMS, HIDDEN = 12, 5
PROBE = torch.bernoulli(torch.full((2, ITEMS), 0.5))


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(ITEMS, HIDDEN), nn.Linear(HIDDEN, ITEMS)

    def losses(self, batch: Tensor) -> Tensor:
        scores = self.decoder(torch.tanh(self.encoder(batch)))
        return ((scores - batch) ** 2).sum(dim=1)


class Normalised(Autoencoder):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(HIDDEN)

    def losses(self, batch: Tensor) -> Tensor:
        return ((self.decoder(self.norm(self.encoder(batch))) - batch) ** 2).sum(dim=1)


class Centred(Autoencoder):
    """Mixes rows without any layer that a validator knows."""

    def losses(self, batch: Tensor) -> Tensor:
        return super().losses(batch - batch.mean(dim=0))


class Tied(Autoencoder):
    """Uses the encoder's weight a second time behind its layer's back, so that the hooks see half of its gradient."""

    def losses(self, batch: Tensor) -> Tensor:
        code = torch.tanh(self.encoder(batch))
        return ((self.decoder(code) + code @ self.encoder.weight - batch) ** 2).sum(dim=1)


class Unreached(Autoencoder):
    def losses(self, batch: Tensor) -> Tensor:
        return (self.encoder(batch) ** 2).sum(dim=1)


class Mean(Autoencoder):
    def losses(self, batch: Tensor) -> Tensor:
        return super().losses(batch).mean()


class LookedUp(nn.Module):
    """Its layers' inputs are looked up, so that no gradient goes back to the row."""

    def __init__(self):
        super().__init__()
        self.table, self.decoder = nn.Embedding(9, HIDDEN), nn.Linear(HIDDEN, 1)

    def losses(self, batch: Tensor) -> Tensor:
        return (self.decoder(self.table(batch.long())).squeeze(2) ** 2).mean(dim=1)


def plan_of(**changes):
    facts = {
        "delta": 1e-6,
        "noise_multiplier": 1e-9,
        "sample_rate": 0.5,
        "max_grad_norm": 0.7,
        "steps": 10,
        "expected_batch_size": 16.0,
    }
    return PrivacyPlan(**{**facts, **changes})


def trainer(module, plan=None, learning_rate=1.0, **flags):
    optimizer = torch.optim.SGD(module.parameters(), lr=learning_rate)
    return DPSGD(module, optimizer, plan or plan_of(), PerformanceFlags(**flags), probe=PROBE)


def rows_of(users, scale=1.0):
    return torch.randn(users, ITEMS, generator=torch.Generator().manual_seed(3)) * scale


def by_loop(module, rows, plan):
    """Clip each user's gradient on its own, sum, divide by the public batch: the definition."""
    total = [torch.zeros_like(parameter) for parameter in module.parameters()]
    for row in rows:
        gradients = torch.autograd.grad(module.losses(row[None]).sum(), list(module.parameters()))
        norm = torch.cat([part.flatten() for part in gradients]).norm()
        factor = min(1.0, plan.max_grad_norm / float(norm))
        for whole, part in zip(total, gradients, strict=True):
            whole += factor * part
    return [whole / plan.expected_batch_size for whole in total]


def moved(module, step):
    before = [parameter.detach().clone() for parameter in module.parameters()]
    step()
    return [old - new.detach() for old, new in zip(before, module.parameters(), strict=True)]


@pytest.mark.parametrize(
    "flags", [{}, {"grad_sample_mode": "ghost"}, {"grad_sample_mode": "hooks"}, {"physical_batch_size": 7}]
)
@pytest.mark.parametrize("scale", [0.01, 1.0])
def test_a_step_equals_the_loop_over_users(flags, scale):
    module, rows, plan = Autoencoder(), rows_of(23, scale), plan_of()
    expected = by_loop(module, rows, plan)
    sgd = trainer(module, plan, **flags)
    for found, wanted in zip(moved(module, lambda: sgd.step(rows)), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["book_keeping", "ghost", "hooks"])
def test_a_model_that_looks_its_rows_up_takes_the_same_step_in_every_mode(mode):
    module, rows, plan = LookedUp(), rows_of(23).abs(), plan_of()
    expected = by_loop(module, rows, plan)
    sgd = trainer(module, plan, grad_sample_mode=mode)
    for found, wanted in zip(moved(module, lambda: sgd.step(rows)), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


def test_no_user_moves_the_sum_by_more_than_the_clip():
    rows = rows_of(8, 50.0)
    for user in range(len(rows)):
        module = Autoencoder()
        state = {name: value.clone() for name, value in module.state_dict().items()}
        sgd = trainer(module, plan_of(expected_batch_size=1.0))
        with_user = moved(module, lambda: sgd.step(rows))  # noqa: B023
        module.load_state_dict(state)
        others = torch.cat([rows[:user], rows[user + 1 :]])
        without = moved(module, lambda: sgd.step(others))  # noqa: B023
        distance = torch.cat([(a - b).flatten() for a, b in zip(with_user, without, strict=True)]).norm()
        assert 0.69 < float(distance) <= 0.7 * (1 + 1e-3)


def test_the_sum_is_divided_by_the_public_batch_and_not_by_the_rows():
    module, plan = Autoencoder(), plan_of()
    rows = rows_of(4, 100.0)  # 4 rows, far below the expected 16
    sgd = trainer(module, plan)
    found = moved(module, lambda: sgd.step(rows))
    assert torch.cat([part.flatten() for part in found]).norm() <= 4 * 0.7 / 16 + 1e-5


@pytest.mark.parametrize("batches", [[0], [0, 8], [8, 0]])
def test_an_empty_batch_takes_a_step_and_noise_also_as_the_first(batches):
    module = Autoencoder()
    sgd = trainer(module, plan_of(noise_multiplier=2.0))
    for users in batches:
        change = torch.cat([part.flatten() for part in moved(module, lambda: sgd.step(rows_of(users)))])  # noqa: B023
        if users == 0:
            assert float(change.std()) == pytest.approx(2.0 * 0.7 / 16, rel=0.25)
    assert sgd.steps == len(batches)


def test_the_noise_is_the_multiplier_times_the_clip_over_the_public_batch():
    module = nn.Module()
    module.layer = nn.Linear(ITEMS, 3_000)
    module.losses = lambda batch: module.layer(batch).sum(dim=1)
    sgd = trainer(module, plan_of(noise_multiplier=3.0, max_grad_norm=0.5, expected_batch_size=10.0))
    change = torch.cat([part.flatten() for part in moved(module, lambda: sgd.step(rows_of(0)))])
    assert float(change.std()) == pytest.approx(3.0 * 0.5 / 10.0, rel=0.02)
    assert abs(float(change.mean())) < 0.003


def test_noise_is_added_once_a_step_however_the_batch_is_split():
    module = nn.Module()
    module.layer = nn.Linear(ITEMS, 3_000)
    module.losses = lambda batch: 0.0 * module.layer(batch).sum(dim=1)
    sgd = trainer(module, plan_of(noise_multiplier=3.0), physical_batch_size=2)
    change = torch.cat([part.flatten() for part in moved(module, lambda: sgd.step(rows_of(11)))])
    assert float(change.std()) == pytest.approx(3.0 * 0.7 / 16, rel=0.02)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_row_that_is_not_finite_contributes_nothing_and_skips_nothing(bad):
    module, plan, rows = Autoencoder(), plan_of(), rows_of(9)
    expected = by_loop(module, rows, plan)
    sgd = trainer(module, plan)
    spoilt = torch.cat([rows, torch.full((2, ITEMS), bad)])
    for found, wanted in zip(moved(module, lambda: sgd.step(spoilt)), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    moved(module, lambda: sgd.step(spoilt[-2:]))
    assert sgd.steps == 2


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Normalised, "cannot be trained by user-level DP-SGD"),
        (Centred, "One row acts on another"),
        (Tied, "not that of the row's gradient"),
        (Unreached, "cannot be clipped row by row"),
        (Mean, "one loss for every row"),
    ],
)
def test_a_model_whose_users_cannot_be_clipped_is_refused_before_training(model, message):
    with pytest.raises(ContractBroken, match=message):
        trainer(model())


def test_a_plan_whose_model_holds_batch_norm_is_one_clear_sentence_and_nothing_is_spent(tmp_path):
    ledger, plan = open_ledger(tmp_path), plan_of(noise_multiplier=2.0)
    sentence = "The model cannot be trained by user-level DP-SGD .*BatchNorm.*Replace the layer by one that treats"

    def train():
        with ledger.release(release_of(plan.event), key="k", of=private(rows_of(3))) as opened:
            trainer(Normalised(), plan)
            opened.intend(1)

    with pytest.raises(ContractBroken, match=sentence):
        train()
    assert verbs(ledger)[-1] == "release"
    assert balance(ledger).spent == balance(ledger).held == 0


def test_a_plan_that_was_changed_past_its_checks_is_refused():
    with pytest.raises(Misconfigured, match="without noise protects nobody"):
        trainer(Autoencoder(), plan_of().model_copy(update={"noise_multiplier": 0.0}))


def test_dropout_is_no_reason_to_refuse():
    class Denoising(Autoencoder):
        def losses(self, batch: Tensor) -> Tensor:
            return super().losses(nn.functional.dropout(batch, 0.5, training=True))

    trainer(Denoising())
    require_rows_apart(Denoising(), PROBE)


def test_the_noise_cannot_be_replayed_by_any_seed():
    changes = []
    for _ in range(2):
        torch.manual_seed(7)
        np.random.seed(7)
        module = Autoencoder()
        sgd = trainer(module, plan_of(noise_multiplier=1.0))
        changes.append(torch.cat([part.flatten() for part in moved(module, lambda: sgd.step(rows_of(3)))]))  # noqa: B023
    assert not torch.isclose(changes[0], changes[1], rtol=0, atol=1e-6).any()


def test_the_engine_takes_no_number_of_users():
    """Sampling is the only place that sees how many rows there are; neither q nor the normaliser can come from it."""
    assert "len(batch)" not in inspect.getsource(engine._NoisyOptimizer)
    assert set(inspect.signature(DPSGD.__init__).parameters) == {
        "self", "module", "optimizer", "plan", "flags", "probe",
    }  # fmt: skip


def test_the_hooks_come_off_and_leave_what_was_learnt():
    module = Autoencoder()
    sgd = trainer(module)
    sgd.step(rows_of(5))
    learnt = {name: value.clone() for name, value in module.state_dict().items()}
    sgd.detach()
    assert all(torch.equal(value, learnt[name]) for name, value in module.state_dict().items())
    assert not any(layer._forward_hooks or layer._backward_hooks for layer in module.modules())
    trainer(module).detach()

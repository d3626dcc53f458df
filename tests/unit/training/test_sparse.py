"""Rows that stay sparse on their way through loader, model and clipping train what dense ones train."""

from unittest.mock import patch

import numpy as np
import pytest
import pytorch_lightning as lightning
import scipy.sparse as scipy_sparse
import torch
from torch import Tensor, nn

from components.core.errors import Misconfigured
from components.privacy import engine
from components.privacy.canaries import Canaries
from components.privacy.clipping.layers import Bias
from components.privacy.rows import SparseRows
from components.training.batches import take, take_sparse
from components.training.fit import fit
from tests.unit.training.toy import ITEMS, Autoencoder, Intents, plan_of, rows_of


class Sparse(Autoencoder):
    """The toy with its first layer as a bag: the same function of the same weights."""

    sparse_rows = True

    def __init__(self, dense):
        super().__init__()
        self.encoder = nn.EmbeddingBag(ITEMS, 8, mode="sum")
        self.bias = Bias(8)
        with torch.no_grad():
            self.encoder.weight.copy_(dense.encoder.weight.T)
            self.bias.bias.copy_(dense.encoder.bias)
        self.decoder.load_state_dict(dense.decoder.state_dict())

    def losses(self, batch):
        assert isinstance(batch, SparseRows)
        code = self.encoder(batch.columns, batch.offsets[:-1], per_sample_weights=batch.values)
        likelihood = torch.log_softmax(self.decoder(torch.tanh(self.bias(code))), dim=1)
        of_entry = batch.values * likelihood[batch.row_of_entry, batch.columns]
        return -torch.zeros(len(batch)).index_add(0, batch.row_of_entry, of_entry)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


class Dense(Autoencoder):
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


def test_sparse_rows_train_what_dense_rows_train():
    torch.manual_seed(0)
    rows, plan = rows_of(50), plan_of(noise_multiplier=1e-12, sample_rate=1.0, steps=4)
    dense = Dense()
    sparse = Sparse(dense)
    for module in (dense, sparse):
        assert fit(module, rows, plan=plan, intend=Intents()).steps == 4
    torch.testing.assert_close(sparse.encoder.weight.T, dense.encoder.weight, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sparse.bias.bias, dense.encoder.bias, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(sparse.decoder.weight, dense.decoder.weight, rtol=1e-4, atol=1e-5)


def noiseless(sums, sigma, scale=1.0):
    for buffer in sums:
        buffer.mul_(scale)


def test_sparse_rows_train_beside_canaries_what_they_train_alone_and_canaries_weigh_what_they_may():
    torch.manual_seed(0)
    rows, plan = rows_of(50), plan_of(sample_rate=1.0, steps=4, max_grad_norm=0.3)
    alone = Sparse(Dense())
    beside, canaries = Sparse(Dense()), Canaries.flipped(300)
    beside.load_state_dict(alone.state_dict())
    with patch.object(engine, "add_noise_", noiseless):
        fit(alone, rows, plan=plan, intend=Intents())
        fit(beside, rows, plan=plan, intend=Intents(), canaries=canaries)
    for name, weight in alone.state_dict().items():
        torch.testing.assert_close(beside.state_dict()[name], weight, rtol=1e-4, atol=1e-6)
    expected = canaries.users * canaries.inserted * np.sqrt(4)
    np.testing.assert_allclose(canaries.required().scores, expected, atol=1e-4)


@pytest.mark.parametrize("canaries", [None, Canaries.flipped(200)], ids=["alone", "with canaries"])
def test_sparse_batches_may_be_empty(canaries):
    plan = plan_of(sample_rate=1e-6, steps=3)
    assert fit(Sparse(Dense()), rows_of(5), plan=plan, intend=Intents(), canaries=canaries).steps == 3


VOCABULARY, WIDTH = 20_000, 4


class Bagged(lightning.LightningModule):
    """A text head: words by their weights, no output as wide as the vocabulary."""

    sparse_rows = True

    def __init__(self):
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(VOCABULARY, WIDTH, mode="sum"), nn.Linear(WIDTH, 2)

    def losses(self, batch):
        code = self.bag(batch.columns, batch.offsets[:-1], per_sample_weights=batch.values)
        return -torch.log_softmax(self.head(torch.tanh(code)), dim=1)[:, 0]

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


class Largest(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes how many numbers the largest tensor holds that anything makes."""

    numbers = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, tuple | list) else [out]:
            if isinstance(one, Tensor):
                self.numbers = max(self.numbers, one.untyped_storage().nbytes() // one.element_size())
        return out


@pytest.mark.parametrize("canaries", [None, Canaries.flipped(200)], ids=["alone", "with canaries"])
def test_nothing_as_large_as_a_batch_times_its_columns_is_made_on_the_way(canaries):
    """300 users in a batch: made dense they would be 6 million numbers, where the model has 80,000."""
    rows = scipy_sparse.random_array((300, VOCABULARY), density=5e-4, format="csr", dtype=np.float32, rng=0)
    made_dense = AssertionError("rows were made dense")
    module, plan = Bagged(), plan_of(sample_rate=1.0, steps=2)
    before = module.bag.weight.detach().clone()
    with (
        patch.object(scipy_sparse.csr_array, "toarray", side_effect=made_dense),
        patch.object(scipy_sparse.csr_array, "todense", side_effect=made_dense),
        patch.object(SparseRows, "dense", side_effect=made_dense),
        Largest() as largest,
    ):
        fit(module, rows, plan=plan, intend=Intents(), canaries=canaries)
    reserved = 5 * (1 + canaries.directions) if canaries else 0
    parameters = sum(parameter.numel() for parameter in module.parameters())
    assert parameters <= largest.numbers <= parameters + reserved
    assert not torch.equal(module.bag.weight.detach(), before)


def test_rows_are_the_same_sparse_and_dense_in_part_and_by_mask():
    rows = rows_of(20)
    taken = take_sparse(rows, torch.arange(20).numpy())
    whole = take(rows, torch.arange(20).numpy())
    assert torch.equal(taken.dense(), whole)
    assert torch.equal(taken[3:9].dense(), whole[3:9])
    mask = torch.arange(20) % 3 == 0
    assert torch.equal(taken[mask].dense(), whole[mask])
    assert torch.equal(taken.to("cpu").dense(), whole)
    assert len(taken[5:5]) == 0


def test_the_last_column_comes_off_wherever_its_entries_lie():
    dense = torch.tensor([[0.0, 2, 0, 3], [0, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 7]])
    whole = take_sparse(scipy_sparse.csr_array(dense.numpy()), np.arange(4))
    rows, last = whole.without_last_column()
    assert torch.equal(rows.dense(), dense[:, :3])
    assert torch.equal(last, dense[:, 3])
    assert (rows.width, len(rows)) == (3, 4)


def test_sparse_rows_need_a_sparse_matrix():
    with pytest.raises(Misconfigured, match="on a CSR matrix"):
        fit(Sparse(Dense()), rows_of(5).toarray(), plan=plan_of(steps=1), intend=Intents())

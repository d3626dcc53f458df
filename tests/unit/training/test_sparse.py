"""Rows that stay sparse on their way through loader, model and clipping train what dense ones train."""

import pytest
import torch
from torch import nn

from components.core.errors import Misconfigured
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


def test_sparse_batches_may_be_empty():
    fitted = fit(Sparse(Dense()), rows_of(5), plan=plan_of(sample_rate=1e-6, steps=3), intend=Intents())
    assert fitted.steps == 3


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


def test_sparse_rows_need_a_sparse_matrix():
    with pytest.raises(Misconfigured, match="on a CSR matrix"):
        fit(Sparse(Dense()), rows_of(5).toarray(), plan=plan_of(steps=1), intend=Intents())

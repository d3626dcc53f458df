"""Laws of clipping: on every net made of layers that have rules, the sum is that of a loop over users."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from components.privacy.clipping.book_keeping import BookKeeping, unsupported
from components.privacy.clipping.layers import Bias
from components.privacy.clipping.sums import Sums
from components.privacy.rows import SparseRows
from tests.unit.privacy.nets import Net, baskets, by_loop

VOCABULARY = 7
widths = st.integers(1, 12)


@st.composite
def nets(draw):
    """A net on numbers, ids, bags of ids or sparse rows, on vectors or on sequences, 2 to 6 layers deep, in which a
    layer may come twice, and weights may be frozen.
    """
    torch.manual_seed(draw(st.integers(0, 2**31)))
    positions, width, users = draw(st.integers(1, 9)), draw(widths), draw(st.integers(1, 6))
    layers, rows = draw(entrances(users, positions, width))
    for _ in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(["linear", "again", "norm", "bias", "pool"]))
        if kind == "linear" or (kind == "again" and width > 6):
            layers.append(nn.Linear(width, after := draw(widths), bias=draw(st.booleans())))
            width = after
        elif kind == "again":
            layers += [layer := nn.Linear(width, width), layer]
        elif kind == "norm":
            layers.append(nn.LayerNorm(width, bias=draw(st.booleans())))
        elif kind == "bias":
            layers.append(Bias(width))
        else:
            layers.append(Pool())
    layers.append(nn.Linear(width, 2))
    unlike = dict.fromkeys(layers)
    net = Net(lambda net, rows: through(layers, rows), **{f"layer{number}": one for number, one in enumerate(unlike)})
    if len(unlike) > 2 and draw(st.booleans()):
        list(unlike)[1].requires_grad_(False)
    return net.double(), rows


@st.composite
def entrances(draw, users, positions, width):
    """Return the layers that read rows, and give vectors or sequences of `width`; and rows."""
    kind = draw(st.sampled_from(["numbers", "ids", "bags", "sparse rows"]))
    padding = draw(st.sampled_from([None, 0, VOCABULARY - 1]))
    if kind == "numbers":
        wide = draw(widths)
        layers = [nn.Linear(wide, width, bias=draw(st.booleans()))]
        return layers, torch.randn(users, positions, wide, dtype=torch.float64)
    if kind == "sparse rows":
        rows = baskets(users, VOCABULARY, torch.float64, repeated=draw(st.booleans()))
        return [nn.EmbeddingBag(VOCABULARY, width, mode="sum", padding_idx=padding), Bias(width)], rows
    rows = torch.randint(0, VOCABULARY, (users, positions))
    if kind == "bags":
        mode = draw(st.sampled_from(["sum", "mean"]))
        return [nn.EmbeddingBag(VOCABULARY, width, mode=mode, padding_idx=padding)], rows
    return [nn.Embedding(VOCABULARY, width, padding_idx=padding)], rows


class Pool(nn.Module):
    def forward(self, values):
        return values.mean(dim=1) if values.dim() == 3 else values


def through(layers, rows):
    for layer in layers:
        if isinstance(rows, SparseRows):
            rows = torch.tanh(layer(rows.columns, rows.offsets[:-1], per_sample_weights=rows.values))
        else:
            rows = torch.tanh(layer(rows))
    return rows


@settings(max_examples=150)
@given(nets(), st.floats(1e-3, 10))
def test_on_every_net_norms_and_sums_are_those_of_a_loop_over_users(made, bound):
    net, rows = made
    norms, total = by_loop(net, rows, bound)
    assert unsupported(net) == []
    keeping, sums = BookKeeping(net, bound), Sums(net.parameters())
    torch.testing.assert_close(keeping.norms(rows), norms, rtol=1e-10, atol=1e-14)
    sums.clear()
    keeping.add(rows, sums)
    found = torch.cat([sums.of(one).flatten() for one in net.parameters() if one.requires_grad])
    assert float((found - total).norm()) <= 1e-10 * max(float(total.norm()), 1e-6)


@settings(max_examples=30)
@given(nets(), st.floats(1e-3, 10), st.data())
def test_one_user_moves_the_sum_by_at_most_the_bound(made, bound, data):
    net, rows = made
    user = data.draw(st.integers(0, len(rows) - 1))
    keeping, ends = BookKeeping(net, bound), []
    everyone = torch.ones(len(rows), dtype=torch.bool)
    for kept in (everyone, everyone.logical_and(torch.arange(len(rows)) != user)):
        sums = Sums(net.parameters())
        sums.clear()
        if kept.any():
            keeping.add(rows[kept], sums)
        ends.append(sums.buffers[0].clone())
    assert float((ends[0] - ends[1]).norm()) <= bound * (1 + 1e-9)

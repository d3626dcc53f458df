"""Laws of clipping: on every net made of layers that have rules, the sum is that of a loop over users."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from components.privacy.clipping.book_keeping import BookKeeping, unsupported
from components.privacy.clipping.layers import Bias
from components.privacy.clipping.sums import Sums
from tests.unit.privacy.nets import Net, by_loop

VOCABULARY = 7
widths = st.integers(1, 12)


@st.composite
def nets(draw):
    """A net on ids or on numbers, on vectors or on sequences, 1 to 4 layers deep, in which a layer may come twice."""
    torch.manual_seed(draw(st.integers(0, 2**31)))
    positions, width = draw(st.integers(1, 9)), draw(widths)
    on_ids = draw(st.booleans())
    layers: list[nn.Module] = [nn.Embedding(VOCABULARY, width)] if on_ids else []
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
    users = draw(st.integers(1, 6))
    if on_ids:
        rows = torch.randint(0, VOCABULARY, (users, positions))
    else:
        wide = layers[0].in_features if isinstance(layers[0], nn.Linear) else None
        wide = wide or next(one.in_features for one in layers if isinstance(one, nn.Linear))
        rows = torch.randn(users, positions, wide, dtype=torch.float64)
    return net.double(), rows


class Pool(nn.Module):
    def forward(self, values):
        return values.mean(dim=1) if values.dim() == 3 else values


def through(layers, rows):
    for layer in layers:
        rows = torch.tanh(layer(rows))
    return rows


@settings(max_examples=60)
@given(nets(), st.floats(1e-3, 10))
def test_on_every_net_norms_and_sums_are_those_of_a_loop_over_users(made, bound):
    net, rows = made
    norms, total = by_loop(net, rows, bound)
    assert unsupported(net) == []
    keeping, sums = BookKeeping(net, bound), Sums(net.parameters())
    torch.testing.assert_close(keeping.norms(rows), norms, rtol=1e-6, atol=1e-12)
    sums.clear()
    keeping.add(rows, sums)
    found = torch.cat([sums.of(one).flatten() for one in net.parameters()])
    assert float((found - total).norm()) <= 1e-6 * max(float(total.norm()), 1e-9)


@settings(max_examples=30)
@given(nets(), st.floats(1e-3, 10), st.data())
def test_one_user_moves_the_sum_by_at_most_the_bound(made, bound, data):
    net, rows = made
    user = data.draw(st.integers(0, len(rows) - 1))
    keeping, ends = BookKeeping(net, bound), []
    for kept in (torch.arange(len(rows)), torch.tensor([one for one in range(len(rows)) if one != user])):
        sums = Sums(net.parameters())
        sums.clear()
        if len(kept):
            keeping.add(rows[kept.long()], sums)
        ends.append(sums.buffers[0].clone())
    assert float((ends[0] - ends[1]).norm()) <= bound * (1 + 1e-9)

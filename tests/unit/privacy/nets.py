"""One small model for each way that a layer is used, with rows for it, and the loop over users that defines the sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from components.privacy.clipping.layers import Bias
from components.privacy.clipping.sums import Sums
from components.privacy.rows import SparseRows


class Net(nn.Module):
    """`forward` gives one line of numbers for each row; the loss is smooth in all of them, so every weight counts."""

    def __init__(self, forward: Callable[[Net, Any], Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self._through = forward
        for name, layer in layers.items():
            self.add_module(name, layer)

    def losses(self, rows: Any) -> Tensor:
        out = self._through(self, rows).flatten(1)
        return torch.tanh(out * torch.linspace(0.5, 1.5, out.shape[1], dtype=out.dtype)).square().sum(dim=1)


def by_loop(module: Any, rows: Any, bound: float) -> tuple[Tensor, Tensor]:
    """Clip each user's gradient on its own and sum: the definition. Return the norms and the flat sum."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    norms, total = [], torch.zeros(sum(one.numel() for one in parameters), dtype=parameters[0].dtype)
    for user in range(len(rows)):
        loss = module.losses(rows[user : user + 1]).sum()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        whole = torch.cat(
            [
                (torch.zeros_like(one) if part is None else part).flatten()
                for one, part in zip(parameters, gradients, strict=True)
            ]
        )
        norms.append(whole.norm())
        total += whole * min(1.0, bound / max(float(whole.norm()), 1e-12))
    return torch.stack(norms) if norms else torch.zeros(0), total


def summed(clipping: Any, module: nn.Module, rows: Any) -> Tensor:
    """Return what `clipping` sums, flat, in the order of the parameters."""
    sums = Sums(module.parameters())
    sums.clear()
    clipping.add(rows, sums)
    found = [sums.of(one) for one in module.parameters()]
    return torch.cat([one.flatten() for one in found if one is not None])


def tokens(users: int, length: int, vocabulary: int) -> Tensor:
    return torch.randint(0, vocabulary, (users, length))


def baskets(users: int, width: int, dtype: torch.dtype, *, repeated: bool = False) -> SparseRows:
    """Rows with up to 5 entries, some with none; `repeated` ones may name a column twice."""
    sizes = torch.randint(0, 6, (users,))
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), sizes.cumsum(0)])
    picked = [torch.randperm(width)[:size].sort().values for size in sizes.tolist()]
    if repeated:
        picked = [torch.randint(0, 3, (size,)) for size in sizes.tolist()]
    columns = torch.cat([*picked, torch.zeros(0, dtype=torch.long)])
    return SparseRows(offsets, columns, torch.rand(len(columns), dtype=dtype) + 0.5, width)


def bagged(net: Any, rows: SparseRows) -> Tensor:
    return net.bias(net.bag(rows.columns, rows.offsets[:-1], per_sample_weights=rows.values))


def _attended(net: Any, rows: Tensor) -> Tensor:
    return net.outer(torch.softmax(net.inner(rows), dim=1) * rows[..., :1])


NETS: dict[str, tuple[Callable[[], Net], Callable[[int, torch.dtype], Any]]] = {
    "a linear layer on vectors": (
        lambda: Net(lambda net, rows: net.layer(rows), layer=nn.Linear(7, 4)),
        lambda users, dtype: torch.randn(users, 7, dtype=dtype),
    ),
    "linear layers without bias": (
        lambda: Net(
            lambda net, rows: net.outer(torch.relu(net.inner(rows))),
            inner=nn.Linear(7, 9, bias=False),
            outer=nn.Linear(9, 3, bias=False),
        ),
        lambda users, dtype: torch.randn(users, 7, dtype=dtype),
    ),
    "linear layers on short sequences": (
        lambda: Net(_attended, inner=nn.Linear(16, 16), outer=nn.Linear(16, 12)),
        lambda users, dtype: torch.randn(users, 3, 16, dtype=dtype),
    ),
    "linear layers on long sequences": (
        lambda: Net(_attended, inner=nn.Linear(4, 4), outer=nn.Linear(4, 2, bias=False)),
        lambda users, dtype: torch.randn(users, 40, 4, dtype=dtype),
    ),
    "a linear layer on grids": (
        lambda: Net(lambda net, rows: net.layer(rows), layer=nn.Linear(5, 3)),
        lambda users, dtype: torch.randn(users, 2, 3, 5, dtype=dtype),
    ),
    "a linear layer that is used twice": (
        lambda: Net(lambda net, rows: net.layer(torch.tanh(net.layer(rows))), layer=nn.Linear(6, 6)),
        lambda users, dtype: torch.randn(users, 6, dtype=dtype),
    ),
    "a linear layer that is used on vectors and on sequences": (
        lambda: Net(lambda net, rows: net.layer(rows).sum(dim=1) + net.layer(rows[:, 0]), layer=nn.Linear(20, 10)),
        lambda users, dtype: torch.randn(users, 3, 20, dtype=dtype),
    ),
    "two layers that are given the same signal": (
        lambda: Net(lambda net, rows: net.one(rows) + net.two(rows), one=nn.Linear(6, 4), two=nn.Linear(6, 4)),
        lambda users, dtype: torch.randn(users, 6, dtype=dtype),
    ),
    "an activation in place": (
        lambda: Net(
            lambda net, rows: net.outer(torch.relu_(net.inner(rows))), inner=nn.Linear(6, 8), outer=nn.Linear(8, 3)
        ),
        lambda users, dtype: torch.randn(users, 6, dtype=dtype),
    ),
    "a frozen layer between two": (
        lambda: Net(
            lambda net, rows: net.outer(net.middle(net.inner(rows))),
            inner=nn.Linear(6, 5),
            middle=nn.Linear(5, 5).requires_grad_(False),
            outer=nn.Linear(5, 2),
        ),
        lambda users, dtype: torch.randn(users, 6, dtype=dtype),
    ),
    "an embedding of one id": (
        lambda: Net(lambda net, rows: net.table(rows[:, 0].long()), table=nn.Embedding(9, 4)),
        lambda users, dtype: tokens(users, 1, 9),
    ),
    "an embedding of ids that repeat": (
        lambda: Net(lambda net, rows: net.table(rows.long()), table=nn.Embedding(5, 4)),
        lambda users, dtype: tokens(users, 8, 5),
    ),
    "an embedding with padding": (
        lambda: Net(lambda net, rows: net.table(rows.long()), table=nn.Embedding(5, 4, padding_idx=0)),
        lambda users, dtype: tokens(users, 8, 5),
    ),
    "an embedding that is used twice": (
        lambda: Net(
            lambda net, rows: net.table(rows[:, :3].long()).sum(dim=1) * net.table(rows[:, 3].long()),
            table=nn.Embedding(5, 4),
        ),
        lambda users, dtype: tokens(users, 4, 5),
    ),
    "bags of weighted ids": (
        lambda: Net(bagged, bag=nn.EmbeddingBag(11, 4, mode="sum"), bias=Bias(4)),
        lambda users, dtype: baskets(users, 11, dtype),
    ),
    "bags in which ids repeat": (
        lambda: Net(bagged, bag=nn.EmbeddingBag(11, 4, mode="sum"), bias=Bias(4)),
        lambda users, dtype: baskets(users, 11, dtype, repeated=True),
    ),
    "bags with their last offset": (
        lambda: Net(
            lambda net, rows: net.bag(rows.columns, rows.offsets),
            bag=nn.EmbeddingBag(11, 4, mode="sum", include_last_offset=True),
        ),
        lambda users, dtype: baskets(users, 11, dtype),
    ),
    "means of bags with padding": (
        lambda: Net(lambda net, rows: net.bag(rows.long()), bag=nn.EmbeddingBag(6, 3, mode="mean", padding_idx=1)),
        lambda users, dtype: tokens(users, 7, 6),
    ),
    "a normalisation of vectors": (
        lambda: Net(
            lambda net, rows: net.outer(net.norm(net.inner(rows))),
            inner=nn.Linear(6, 8),
            norm=nn.LayerNorm(8),
            outer=nn.Linear(8, 3),
        ),
        lambda users, dtype: torch.randn(users, 6, dtype=dtype),
    ),
    "a normalisation of sequences without bias": (
        lambda: Net(lambda net, rows: net.norm(rows), norm=nn.LayerNorm((3, 4), bias=False)),
        lambda users, dtype: torch.randn(users, 5, 3, 4, dtype=dtype),
    ),
    "a bias on sequences": (
        lambda: Net(lambda net, rows: net.bias(rows), bias=Bias(4)),
        lambda users, dtype: torch.randn(users, 3, 4, dtype=dtype),
    ),
    "all of it": (
        lambda: Net(
            lambda net, rows: net.head(net.bias(torch.relu(net.body(net.norm(net.table(rows.long())))).mean(dim=1))),
            table=nn.Embedding(9, 6),
            norm=nn.LayerNorm(6),
            body=nn.Linear(6, 8),
            bias=Bias(8),
            head=nn.Linear(8, 2),
        ),
        lambda users, dtype: tokens(users, 5, 9),
    ),
}

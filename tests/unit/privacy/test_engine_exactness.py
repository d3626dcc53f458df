"""How exact book-keeping is: a loop over users in double precision, and no worse than that loop in single precision."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from components.privacy.clipping import linear
from components.privacy.clipping.book_keeping import BookKeeping, unsupported
from components.privacy.clipping.calls import Call
from components.privacy.clipping.layers import RULES
from components.privacy.clipping.sums import Sums
from components.privacy.rows import SparseRows
from tests.unit.privacy.nets import NETS, by_loop, summed


@pytest.mark.parametrize("name", NETS)
def test_norms_and_sums_are_those_of_a_loop_over_users(name):
    module, rows, bound = made(name)
    norms, total = by_loop(module, rows, bound)
    keeping = BookKeeping(module, bound)
    torch.testing.assert_close(keeping.norms(rows), norms, rtol=1e-12, atol=1e-14)
    assert float((summed(keeping, module, rows) - total).norm() / total.norm()) < 1e-12


@pytest.mark.parametrize("name", NETS)
def test_in_single_precision_a_rule_itself_loses_less_than_a_millionth(name):
    """What a layer was called with and what arrived there, in single precision: the rest is done in single and double.

    The bound is the clipping norm of half of the rows, so that the sums show the factors too.
    """
    module, rows, bound = made(name, torch.float32)
    keeping = BookKeeping(module, bound)
    _, calls = keeping._backward(rows)
    by_double = {layer: [doubled_call(call) for call in its] for layer, its in calls.items()}
    norms, exact = keeping._norms(calls, len(rows)), keeping._norms(by_double, len(rows))
    torch.testing.assert_close(norms.double(), exact, rtol=1e-6, atol=1e-12)
    factors, ends = (bound / exact).clamp(max=1.0), []
    for kind, its in ((torch.float64, by_double), (torch.float32, calls)):
        module.to(kind)
        sums = Sums(module.parameters())
        sums.clear()
        for layer, of_layer in its.items():
            RULES[type(layer)].add(layer, of_layer, factors.to(kind), sums)
        ends.append(sums.buffers[0].double())
    assert float((ends[0] - ends[1]).norm() / ends[0].norm()) < 1e-6


@pytest.mark.parametrize("name", NETS)
def test_in_single_precision_it_is_as_near_to_the_truth_as_the_loop_is(name):
    """Forward and backward passes round in both: a millionth is met where the loop meets it, and not where it fails."""
    module, rows, bound = made(name, torch.float32)
    found = [BookKeeping(module, bound).norms(rows), summed(BookKeeping(module, bound), module, rows)]
    by_the_loop = by_loop(module, rows, bound)
    true = by_loop(module.double(), doubled_rows(rows), bound)
    for mine, its, exact in zip(found, by_the_loop, true, strict=True):
        away, loops = (float(((one.double() - exact) / exact.norm()).norm()) for one in (mine, its))
        assert away <= max(3 * loops, 1e-6)


def made(name, dtype=torch.float64):
    """Return a net, 13 rows, and a bound that clips about half of them."""
    torch.manual_seed(0)
    make, rows_of = NETS[name]
    module, rows = make().to(dtype), rows_of(13, dtype)
    assert unsupported(module) == []
    return module, rows, float(by_loop(module, rows, 1.0)[0].median())


def doubled_rows(rows):
    if isinstance(rows, SparseRows):
        return replace(rows, values=rows.values.double())
    return doubled(rows)


def doubled(value):
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


def doubled_call(call):
    options = {name: doubled(value) for name, value in call.options.items()}
    return Call(tuple(map(doubled, call.inputs)), options, doubled(call.arrived))


def test_gram_matrices_that_cancel_are_not_gone_by():
    """Two positions whose gradients are opposite: what remains is far below what the inner product can resolve."""
    torch.manual_seed(0)
    given, arrived = torch.randn(4, 1, 32), torch.randn(4, 1, 32)
    given = torch.cat([given, given + 1e-4 * torch.randn(4, 1, 32)], dim=1)
    arrived = torch.cat([1e3 * arrived, -1e3 * arrived], dim=1)
    true = torch.linalg.matrix_norm(arrived.double().mT @ given.double())
    torch.testing.assert_close(linear._outer_norms(given, arrived, False).double(), true, rtol=1e-6, atol=0)


@pytest.mark.parametrize("left", [1.0, 0.3, 0.1, 1e-2, 1e-3, 1e-5])
def test_norms_of_sequences_whose_positions_cancel_in_part_are_those_of_their_gradients(left):
    """The less is left of the positions, the fewer digits of it are in single precision's Gram matrices."""
    torch.manual_seed(0)
    given = torch.randn(50, 1, 32) + left * torch.randn(50, 4, 32)
    arrived = torch.randn(50, 1, 64) * torch.tensor([1.0, -1.0, 1.0, -1.0])[:, None]
    for with_bias in (False, True):
        true = torch.linalg.matrix_norm(arrived.double().mT @ given.double())
        found = linear._outer_norms(given, arrived, with_bias)
        torch.testing.assert_close(found.double(), true, rtol=1e-6, atol=0)

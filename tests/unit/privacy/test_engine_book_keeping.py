"""Book-keeping against a loop over users, layer by layer, and what it does where a layer is not covered."""

import logging

import pytest
import torch
from torch import Tensor, nn

from components.core.errors import ContractBroken
from components.privacy.clipping.book_keeping import BookKeeping, unsupported
from components.privacy.clipping.by_opacus import ByOpacus
from components.privacy.clipping.calls import Call, lengths
from components.privacy.clipping.sums import Sums
from components.privacy.engine import DPSGD
from components.privacy.plan import PerformanceFlags, PrivacyPlan
from tests.unit.privacy.nets import NETS, Net, baskets, by_loop, summed

pytestmark = pytest.mark.filterwarnings("ignore:Full backward hook")

BOUND = 0.6


@pytest.mark.parametrize("name", NETS)
def test_a_row_that_is_not_finite_adds_nothing_and_takes_nothing_away(name):
    torch.manual_seed(0)
    make, rows_of = NETS[name]
    module = make().double()
    rows = rows_of(9, torch.float64)
    _, total = by_loop(module, torch_rows(rows, keep=range(8)), BOUND)
    losses = module.losses
    module.losses = lambda batch: losses(batch) * torch.where(torch.arange(len(batch)) == 8, torch.inf, 1.0)
    torch.testing.assert_close(summed(BookKeeping(module, BOUND), module, rows), total)


def torch_rows(rows, keep):
    mask = torch.zeros(len(rows), dtype=torch.bool)
    mask[list(keep)] = True
    return rows[mask]


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, 1e30])
def test_an_input_that_is_not_finite_or_whose_square_is_not_spoils_no_other_row(bad):
    torch.manual_seed(0)
    make, rows_of = NETS["a normalisation of vectors"]
    module, rows = make(), rows_of(6, torch.float32)
    _, total = by_loop(module, rows, BOUND)
    spoilt = torch.cat([rows, torch.full((2, 6), bad)])
    found = summed(BookKeeping(module, BOUND), module, spoilt)
    assert torch.isfinite(found).all()
    assert float((found - total).norm()) <= (2 * BOUND if bad == 1e30 else 1e-6)


def test_a_norm_is_never_less_than_it_is_where_squares_underflow():
    tiny = torch.full((2, 50), 1e-25)
    assert float(torch.linalg.vector_norm(tiny, dim=1)[0]) == 0  # what squaring in single precision makes of it
    assert (lengths(tiny) >= 1e-25 * 50**0.5).all()


def test_no_temporary_is_as_large_as_rows_times_vocabulary():
    """40,000 ids, 8 wide, 64 rows: dense gradients by row would be 82 MB."""
    largest = [0]

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for one in out if isinstance(out, tuple | list) else [out]:
                if isinstance(one, Tensor):
                    largest[0] = max(largest[0], one.untyped_storage().nbytes() // one.element_size())
            return out

    vocabulary, width = 40_000, 8
    table = Net(lambda net, rows: net.table(rows.long()), table=nn.Embedding(vocabulary, width))
    bag = Net(
        lambda net, rows: net.bag(rows.columns, rows.offsets[:-1], per_sample_weights=rows.values),
        bag=nn.EmbeddingBag(vocabulary, width, mode="sum"),
    )
    for module, rows in (
        (table, torch.randint(0, vocabulary, (64, 10))),
        (bag, baskets(64, vocabulary, torch.float32)),
    ):
        sums = Sums(module.parameters())
        sums.clear()
        keeping = BookKeeping(module, BOUND)
        with Watch():
            keeping.add(rows, sums)
        assert largest[0] <= vocabulary * width  # the sum itself


def test_autograd_computes_no_gradient_of_a_parameter():
    make, rows_of = NETS["all of it"]
    module = make()
    summed(BookKeeping(module, BOUND), module, rows_of(5, torch.float32))
    assert all(parameter.grad is None and parameter.requires_grad for parameter in module.parameters())


def test_parts_of_a_batch_add_up_to_the_batch():
    torch.manual_seed(0)
    make, rows_of = NETS["bags of weighted ids"]
    module, rows = make().double(), rows_of(10, torch.float64)
    keeping, sums = BookKeeping(module, BOUND), Sums(module.parameters())
    sums.clear()
    for start in range(0, 10, 3):
        keeping.add(rows[start : start + 3], sums)
    torch.testing.assert_close(sums.buffers[0], summed(keeping, module, rows))


def test_a_layer_that_is_not_called_row_by_row_is_refused():
    module = Net(lambda net, rows: net.layer(rows.flatten(0, 1)).view(len(rows), -1), layer=nn.Linear(4, 2))
    with pytest.raises(ContractBroken, match="not called on one line for each row"):
        BookKeeping(module, BOUND).norms(torch.randn(5, 3, 4))


def test_a_bag_that_is_used_twice_is_refused():
    module = Net(lambda net, rows: net.bag(rows) + net.bag(rows.flip(1)), bag=nn.EmbeddingBag(6, 3, mode="sum"))
    with pytest.raises(ContractBroken, match="called more than once"):
        BookKeeping(module, BOUND).norms(torch.randint(0, 6, (4, 3)))


PLAN = PrivacyPlan(
    delta=1e-6, noise_multiplier=1e-9, sample_rate=0.5, max_grad_norm=BOUND, steps=3, expected_batch_size=4.0
)
PROBE = torch.bernoulli(torch.full((2, 6), 0.5))


def started(module, **flags):
    return DPSGD(module, torch.optim.SGD(module.parameters(), lr=1.0), PLAN, PerformanceFlags(**flags), probe=PROBE)


def test_book_keeping_is_the_default_and_says_nothing(caplog):
    module = Net(lambda net, rows: net.layer(rows), layer=nn.Linear(6, 3))
    assert isinstance(started(module)._clipping, BookKeeping)
    assert not caplog.records


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, values: Tensor) -> Tensor:
        return values * self.scale


def test_a_layer_without_a_rule_is_trained_by_opacus_and_the_log_says_which(caplog):
    torch.manual_seed(0)
    module = Net(lambda net, rows: net.scaled(net.layer(rows)), layer=nn.Linear(6, 3), scaled=Scaled())
    rows = torch.randn(7, 6)
    _, total = by_loop(module, rows, BOUND)
    before = torch.cat([one.detach().flatten() for one in module.parameters()])
    with caplog.at_level(logging.WARNING):
        sgd = started(module)
    assert isinstance(sgd._clipping, ByOpacus)
    assert [record.getMessage() for record in caplog.records] == [
        "Book-keeping has no rule for scaled: Scaled; Opacus' ghost mode is used instead, which is slower and as exact."
    ]
    sgd.step(rows)
    moved = before - torch.cat([one.detach().flatten() for one in module.parameters()])
    torch.testing.assert_close(moved, total / 4, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "module",
    [
        Net(lambda net, rows: net.table(rows.long()), table=nn.Embedding(6, 3, scale_grad_by_freq=True)),
        Net(lambda net, rows: net.bag(rows.long()), bag=nn.EmbeddingBag(6, 3, mode="max")),
        Net(lambda net, rows: net.layer(rows), layer=type("Own", (nn.Linear,), {})(6, 3)),
    ],
)
def test_what_a_rule_does_not_cover_is_not_booked(module):
    assert len(unsupported(module)) == 1


def test_weights_that_two_layers_share_are_not_booked():
    module = Net(lambda net, rows: net.two(net.one(rows)), one=nn.Linear(6, 6), two=nn.Linear(6, 6))
    module.two.weight = module.one.weight
    assert unsupported(module) == ["two: a weight shared with one"]


def test_an_embedding_that_rescales_weights_by_who_looks_them_up_is_refused():
    module = Net(lambda net, rows: net.table(rows.long()), table=nn.Embedding(6, 3, max_norm=1.0))
    with pytest.raises(ContractBroken, match="max_norm rescales weights by who looks them up, without noise"):
        started(module)


def test_a_call_knows_its_arguments_however_they_were_passed():
    call = Call((1, 2), {"per_sample_weights": 3})
    assert [call.argument(0, "input"), call.argument(2, "per_sample_weights"), call.argument(3, "other")] == [
        1,
        3,
        None,
    ]

import numpy as np
import pytest
import torch

from components.training.batches import Batches, poisson, shuffled, take
from tests.unit.training.toy import ITEMS, rows_of


def test_the_length_of_the_loader_is_the_number_of_steps_and_tells_nothing_of_the_users():
    for users in (3, 3_000):
        rows = rows_of(users)
        batches = Batches(rows, poisson(rows, 0.01), 17)
        assert len(batches) == len(list(batches)) == 17


def test_private_batches_differ_in_size_and_ceiling_batches_pass_over_everyone():
    rows = rows_of(100)
    sizes = {len(batch) for batch in Batches(rows, poisson(rows, 0.3), 40)}
    assert len(sizes) > 5
    sample = shuffled(rows, 30)
    one_pass = [sample() for _ in range(4)]
    assert [len(users) for users in one_pass] == [30, 30, 30, 10]
    np.testing.assert_array_equal(np.sort(np.concatenate(one_pass)), np.arange(100))


@pytest.mark.parametrize(
    "form", [lambda rows: rows, lambda rows: rows.toarray(), lambda rows: torch.tensor(rows.toarray())]
)
def test_rows_are_taken_alike_from_every_form(form):
    rows = rows_of(20)
    users = np.array([3, 3, 19])
    taken = take(form(rows), users)
    assert taken.dtype == torch.float32
    np.testing.assert_array_equal(taken.numpy(), rows.toarray()[users])
    assert take(form(rows), users[:0]).shape == (0, ITEMS)


def test_an_entry_that_is_not_finite_becomes_zero():
    taken = take(np.array([[np.nan, 1.0, np.inf, -np.inf]]), np.array([0]))
    np.testing.assert_array_equal(taken.numpy(), [[0.0, 1.0, 0.0, 0.0]])

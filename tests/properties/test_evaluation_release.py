"""What one user can move in the un-noised part of the release, whoever it is and whatever the metrics say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.core.service import Metric
from components.evaluation.evaluate import figures
from components.evaluation.moments import MomentsPlan, moments, release_moments

NAMES = ("common", "linear", "deep")
anything = st.floats(allow_nan=True, allow_infinity=True)
ranges = st.tuples(st.floats(-5, 5), st.floats(0.1, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@st.composite
def evaluations(draw):
    """A plan over up to three bundles and four metrics, and the values of some users."""
    metrics = [Metric(f"m{i}", *draw(ranges)) for i in range(draw(st.integers(1, 4)))]
    names = NAMES[: draw(st.integers(1, 3))]
    pairs = [(name, names[0]) for name in names[1:]]
    plan = MomentsPlan(
        bundles=dict.fromkeys(names, "b"), figures=figures(metrics, names, pairs), mu=draw(st.floats(0.1, 2)), seed=0
    )
    users = draw(st.integers(0, 5))
    values = {name: draw(arrays(float, (users, len(metrics)), elements=anything)) for name in names}
    one_more = {name: draw(arrays(float, (1, len(metrics)), elements=anything)) for name in names}
    return plan, values, one_more


@given(evaluations())
def test_an_added_user_moves_the_sums_by_at_most_the_sensitivity(evaluation):
    plan, values, one_more = evaluation
    before = moments(plan, values)
    after = moments(plan, {name: np.vstack([values[name], one_more[name]]) for name in values})
    assert np.linalg.norm(after - before) <= plan.sensitivity * (1 + 1e-9)


def test_the_sensitivity_is_met_by_a_user_at_the_ends_of_every_range():
    plan = MomentsPlan(bundles={"a": "b"}, figures=figures((Metric("x"), Metric("y", high=3)), ["a"], []), mu=1, seed=0)
    moved = moments(plan, {"a": np.array([[1.0, 0.0]])})
    assert np.linalg.norm(moved) == pytest.approx(plan.sensitivity, rel=1e-12)


@pytest.mark.parametrize("users", [0, 40, 3000])
def test_a_release_says_how_many_rows_it_holds_to_within_the_noise_that_it_declares(users):
    plan = MomentsPlan(bundles={"a": "b"}, figures=figures((Metric("x"),), ["a"], []), mu=0.5, seed=0)
    values = {"a": np.ones((users, 1))}
    found = np.array([release_moments(plan, values).rows for _ in range(400)])
    assert found.mean() == pytest.approx(users, abs=5 * plan.noise_of_count / 20)
    assert found.std() == pytest.approx(plan.noise_of_count, rel=0.2)


@given(evaluations(), st.randoms(use_true_random=False))
def test_the_order_of_the_users_does_not_matter(evaluation, random):
    plan, values, _ = evaluation
    order = list(range(len(next(iter(values.values())))))
    random.shuffle(order)
    shuffled = {name: matrix[order] for name, matrix in values.items()}
    assert np.allclose(moments(plan, values), moments(plan, shuffled), rtol=0, atol=1e-9)

"""What one user can move in the un-noised part of a release with histograms, whatever the cells say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from components.core.errors import ContractBroken
from components.core.service import Metric
from components.evaluation.derived import projected
from components.evaluation.evaluate import figures
from components.evaluation.histograms import SHARE, JointPlan, clipped, joint
from components.evaluation.moments import MomentsPlan

NAMES = ("common", "linear", "deep")
anything = st.floats(allow_nan=True, allow_infinity=True)


def plan_of(names, size, mass=1.0, share=SHARE, mu=0.5):
    pairs = [(name, names[0]) for name in names[1:]]
    parts = figures([Metric("first"), Metric("second", -1, 3)], names, pairs)
    bundles = dict.fromkeys(names, "b")
    return JointPlan(bundles=bundles, figures=parts, mu=mu, seed=0, size=size, mass=mass, share=share)


@st.composite
def evaluations(draw):
    """A plan over up to three bundles, and the values and cells of some users and of one more."""
    names, size = NAMES[: draw(st.integers(1, 3))], draw(st.integers(1, 6))
    plan = plan_of(names, size, draw(st.floats(0.1, 3)), draw(st.floats(0.01, 0.9)), draw(st.floats(0.1, 2)))

    def matrices(users, columns):
        return {name: draw(arrays(float, (users, columns), elements=anything)) for name in names}

    users = draw(st.integers(0, 4))
    return plan, matrices(users, 2), matrices(users, size), matrices(1, 2), matrices(1, size)


@given(evaluations())
def test_an_added_user_moves_the_joint_vector_by_at_most_the_sensitivity(evaluation):
    plan, values, vectors, value, vector = evaluation
    before = joint(plan, values, vectors)
    after = joint(
        plan,
        {name: np.vstack([values[name], value[name]]) for name in values},
        {name: np.vstack([vectors[name], vector[name]]) for name in vectors},
    )
    assert np.isfinite(after).all()
    assert np.linalg.norm(after - before) <= plan.sensitivity * (1 + 1e-9)


def test_the_sensitivity_is_met_by_a_user_at_every_bound():
    plan = plan_of(NAMES, 4)
    ends = {"common": [[0.0, 3]], "linear": [[1.0, 3]], "deep": [[1.0, 3]]}
    moved = joint(plan, {n: np.array(v) for n, v in ends.items()}, dict.fromkeys(NAMES, np.eye(4)[:1]))
    assert np.linalg.norm(moved) == pytest.approx(plan.sensitivity, rel=1e-12)
    assert plan.sensitivity == plan.moments.sensitivity


def test_the_parts_are_as_if_released_alone_with_their_share_of_the_precision():
    plan = plan_of(NAMES, 4, mu=0.4)
    assert type(plan.moments) is MomentsPlan
    assert plan.moments.figures == plan.figures
    assert plan.moments.mu**2 + len(NAMES) / plan.noise**2 == pytest.approx(plan.mu**2)
    assert plan.moments.mu**2 == pytest.approx((1 - SHARE) * plan.mu**2)


@pytest.mark.parametrize("shape", [(731, 4), (731, 5, 2), (731,)])
def test_cells_of_another_shape_are_refused_without_saying_how_many_users_there_are(shape):
    with pytest.raises(ContractBroken) as refused:
        clipped(np.zeros(shape), size=5, mass=1.0)
    assert "731" not in str(refused.value)


@given(arrays(float, (3, 5), elements=anything), st.floats(0.1, 3))
def test_a_user_s_cells_are_bounded_and_what_is_within_the_bounds_stays(vectors, mass):
    cells = clipped(vectors, size=5, mass=mass)
    assert (cells >= 0).all()
    assert (cells.sum(axis=1) <= mass * (1 + 1e-12)).all()
    assert (np.linalg.norm(cells, axis=1) <= 1 + 1e-12).all()
    np.testing.assert_allclose(clipped(cells, size=5, mass=mass), cells, rtol=1e-12)


@given(arrays(float, 6, elements=st.floats(-3, 3)), arrays(float, 6, elements=st.floats(0, 1)), st.floats(0.1, 2))
def test_a_projection_is_no_farther_from_the_truth_than_what_is_projected(noised, truth, mass):
    means = projected(noised, mass)
    assert (means >= 0).all()
    total = min(mass, max(0.0, noised.sum()))
    assert means.sum() == pytest.approx(total, abs=1e-9)
    if truth.sum() > 0:  # the set is convex, so a projection comes nearer to each of its points
        inside = truth / truth.sum() * total
        assert np.linalg.norm(means - inside) <= np.linalg.norm(noised - inside) + 1e-9

from types import SimpleNamespace

import numpy as np
import pytest

from components.core.errors import ContractBroken
from components.privacy import mechanisms
from components.privacy.release import Gaussian
from components.privacy.replay import replay
from components.privacy.trace import Sample, Tape, _lined_up, traced

EVENT = Gaussian(noise_multiplier=2.0)
ROWS = np.eye(30)
NEIGHBOURS = {"one": np.vstack([ROWS, np.full(30, 0.5 / np.sqrt(30))])}


def release(rows, intend, out, *, sensitivity=1.0, answers=1):
    """Sums rows of norm 1, or less, and writes the noised sum."""
    for _ in range(answers):
        intend(1)
        noised = mechanisms.noised_sum(rows.sum(axis=0), sensitivity, 2.0)
    (out / "sum").write_bytes(noised.tobytes())
    return EVENT


def replayed(mechanism=release, event=EVENT, **rows):
    rows = {"neighbours": NEIGHBOURS, "nobody": ROWS[:0], **rows}
    return replay(mechanism, SimpleNamespace(event=event), ROWS, **rows)


def checks(found):
    return {fault.check for fault in found.faults}


def test_what_a_neighbour_moves_is_measured_exactly_below_the_noise():
    found = replayed()
    assert found.faults == ()
    assert found.moved == {"one": pytest.approx(0.5)}
    found.require()


def test_a_declared_sensitivity_that_is_too_small_is_found_and_refused():
    found = replayed(lambda *call: release(*call, sensitivity=0.25))
    assert found.moved == {"one": pytest.approx(2.0)}
    with pytest.raises(ContractBroken, match=r"one moves the sum by 2, declared 1"):
        found.require()


def test_two_answers_where_one_is_charged_are_found_and_cost_the_root_of_two():
    found = replayed(lambda *call: release(*call, answers=2))
    assert checks(found) == {"answers"}
    assert found.moved["one"] == pytest.approx(0.5 * np.sqrt(2))
    charged = Gaussian(noise_multiplier=2.0, count=2)

    def honest(*call):
        release(*call, answers=2)
        return charged

    assert replayed(honest, charged).faults == ()


def test_whatever_else_is_written_from_rows_is_a_leak():
    def telling(rows, intend, out):
        (out / "users").write_text(str(len(rows)))
        return release(rows, intend, out)

    assert checks(replayed(telling)) == {"leak"}


def test_an_answer_whose_number_depends_on_rows_is_a_leak():
    def hesitating(rows, intend, out):
        return release(rows, intend, out, answers=1 + (len(rows) > len(ROWS)))

    assert "leak" in checks(replayed(hesitating))


def test_noise_that_is_drawn_before_its_intent_is_found():
    def hasty(rows, intend, out):
        event = release(rows, lambda steps: None, out)
        intend(1)
        return event

    assert checks(replayed(hasty)) == {"intent"}


def test_a_mechanism_that_one_user_can_make_fail_is_a_leak():
    added = {**NEIGHBOURS, "not a number": np.vstack([ROWS, np.full(30, np.nan)])}
    found = replayed(neighbours=added)
    assert checks(found) == {"leak"}
    assert "with not a number it fails" in str(found.faults[0])


def test_an_answer_that_is_not_finite_is_as_far_as_can_be():
    class Other(np.ndarray):
        """Rows whose sum leaves floating point once it is noised."""

        def sum(self, axis=None):
            return np.full(30, 1.7e308)

    added = {"beyond": ROWS.view(Other)}
    found = replayed(lambda *call: release(*call), neighbours=added)
    assert "sensitivity" in checks(found)
    assert found.moved["beyond"] > 1e300


def test_neighbours_that_move_nothing_prove_nothing():
    with pytest.raises(ContractBroken, match="no power"):
        replayed(neighbours={"same": ROWS})


def test_a_tape_plays_the_same_noise_and_leaves_the_system_its_own():
    def draw(tape):
        with traced(normaliser=None, tape=tape) as trace:
            value = mechanisms.noised_sum(np.zeros(5), 1.0, 1.0)
        assert np.array_equal(trace.answers[0].value, value)
        return value

    assert np.array_equal(draw(Tape(1)), draw(Tape(1)))
    assert not np.array_equal(draw(Tape(1)), draw(Tape(2)))
    assert not np.array_equal(draw(None), draw(None))
    before = mechanisms.noised_sum
    draw(Tape(1))
    assert mechanisms.noised_sum is before
    assert not np.array_equal(mechanisms.gaussian_noise(5, 1.0), mechanisms.gaussian_noise(5, 1.0))


@pytest.mark.parametrize(
    ("users", "behind", "chosen"),
    [
        (10, 0, [1, 4, 7, 8]),
        (11, 0, [1, 4, 7, 8, 10]),
        (11, 3, [1, 4, 7, 8, 9]),
        (3, 3, [0, 1]),
        (4, 0, [1]),
    ],
)
def test_a_sample_is_taken_again_of_the_same_users_whoever_joins_or_leaves_and_of_the_same_rows_behind(
    users, behind, chosen
):
    """Ten rows, of which 1, 4, 7 and 8 were sampled; the last three may be canaries, of which two were."""
    before = Sample(10, 0.4, np.array([1, 4, 7, 8]))
    assert _lined_up(before, users, behind).tolist() == chosen

"""The audit of the mechanisms that ship, through their own code: canaries bite, and what is released knows of none."""

from unittest.mock import patch

import pytest

from components.core import digest
from components.privacy import accounting, engine, mechanisms
from components.privacy.audit import proof
from components.privacy.canaries import Canaries
from components.services.recommend import SERVICE, gram, popularity
from components.services.recommend.data import Rows
from components.services.recommend.params import RecommendParams
from tests.conformance.patches import noiseless
from tests.unit.services.recommend import shop

BY_CHANCE = 1.1
"""The bound may exceed the claim once in a thousand runs, but hardly ever by a tenth."""

DELTA, MU = 1e-5, accounting.gaussian_mu(1.5, 1e-5)
PARAMS = RecommendParams.model_validate({"columns": 30, "autoencoder": {"hidden": 8, "steps": 40}})
ONE_SHOT = [name for name, one in SERVICE.candidates.items() if one.name in ("popularity", "gram")]
CANDIDATES = [pytest.param(name, marks=[] if name in ONE_SHOT else [pytest.mark.slow]) for name in SERVICE.candidates]


@pytest.fixture(scope="module")
def floor(tmp_path_factory):
    return released(SERVICE.floor.name, tmp_path_factory.mktemp("floor") / "bundle", None)


def released(name, out, floor, canaries=None):
    candidate, catalogue = SERVICE.candidates[name], shop.catalogue()
    plan = candidate.plan(mu=MU, delta=DELTA, population=9000, params=PARAMS, floor=floor)
    rows = Rows(shop.tastes(300, 1), catalogue)
    candidate.fit(rows, plan, catalogue, floor=floor, intend=lambda steps: None, out=out, canaries=canaries)
    return out


def audited(name, folder, floor):
    """Return what 1,000 canaries prove of a candidate."""
    canaries, personal = Canaries.flipped(1000), SERVICE.candidates[name].personal
    released(name, folder / "bundle", floor if personal else None, canaries)
    plan = SERVICE.candidates[name].plan(
        mu=MU, delta=DELTA, population=9000, params=PARAMS, floor=floor if personal else None
    )
    return proof(canaries.required(), plan.event, DELTA)


def halved_noise():
    gaussian, add = mechanisms.gaussian_noise, engine.add_noise_
    return (
        patch.object(mechanisms, "gaussian_noise", lambda shape, sigma: gaussian(shape, sigma / 2)),
        patch.object(engine, "add_noise_", lambda sums, sigma, scale: add(sums, sigma / 2, scale)),
    )


@pytest.mark.parametrize("name", CANDIDATES)
def test_canaries_do_not_refute_a_mechanism_that_does_what_it_says_and_come_near_its_claim(name, tmp_path, floor):
    found = audited(name, tmp_path, floor)
    claimed = found["epsilon_claimed"]
    assert 0.5 * claimed < found["epsilon_lower_bound"] < BY_CHANCE * claimed
    assert found["one_run_lower_bound"] < BY_CHANCE * claimed
    assert 0.7 * found["epsilon_claimed"] < found["epsilon_ceiling"] < found["epsilon_claimed"]


@pytest.mark.parametrize("name", CANDIDATES)
def test_canaries_refute_a_mechanism_whose_noise_was_halved(name, tmp_path, floor):
    one_shot, stepwise = halved_noise()
    with one_shot, stepwise:
        found = audited(name, tmp_path, floor)
    assert found["epsilon_lower_bound"] > found["epsilon_claimed"]


@pytest.mark.parametrize(("name", "room"), [("popularity", popularity), ("gram", gram)])
def test_canaries_refute_a_mechanism_in_which_a_user_has_twice_the_say(name, room, tmp_path, floor):
    statistic = room.statistic
    with patch.object(room, "statistic", lambda matrix: 2 * statistic(matrix)):
        found = audited(name, tmp_path, floor)
    assert found["epsilon_lower_bound"] > found["epsilon_claimed"]


@pytest.mark.parametrize("name", ONE_SHOT)
def test_the_bundle_is_the_same_with_canaries_and_without(name, tmp_path, floor):
    floor = floor if SERVICE.candidates[name].personal else None
    with noiseless():
        with_canaries = released(name, tmp_path / "with", floor, Canaries.flipped(1000))
        without = released(name, tmp_path / "without", floor)
    assert digest.of_path(with_canaries) == digest.of_path(without)


@pytest.mark.parametrize("name", CANDIDATES)
def test_no_array_of_the_bundle_is_larger_for_the_canaries(name, tmp_path, floor):
    from safetensors.numpy import load_file

    floor = floor if SERVICE.candidates[name].personal else None
    shapes = []
    for canaries in (None, Canaries.flipped(1000)):
        out = released(name, tmp_path / str(canaries is None), floor, canaries)
        shapes.append({key: array.shape for key, array in load_file(out / "weights.safetensors").items()})
    assert shapes[0] == shapes[1]

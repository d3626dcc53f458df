import numpy as np
import pytest

from components.privacy import draws
from components.privacy.draws import noise_faults, poisson_faults


def checks(faults):
    return {fault.check for fault in faults}


def noise_of(sigma=1.0, size=400, count=3, seed=1):
    generator = np.random.default_rng(seed)
    return [generator.normal(0, sigma, size) for _ in range(count)]


def samples_of(users=300, rate=0.1, steps=100, seed=2):
    generator = np.random.default_rng(seed)
    return [np.flatnonzero(generator.random(users) < rate) for _ in range(steps)]


def test_noise_of_the_declared_deviation_has_no_fault():
    vectors = [*noise_of(2.0), *noise_of(0.5, seed=3)]
    assert noise_faults(vectors, [2.0] * 3 + [0.5] * 3) == []


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25, 2.0])
def test_noise_of_another_deviation_is_a_fault(factor):
    (fault,) = noise_faults(noise_of(factor), [1.0] * 3)
    assert fault.check == "noise"
    assert float(fault.value.split()[0]) == pytest.approx(factor, rel=0.1)


def test_no_noise_at_all_is_a_fault():
    assert checks(noise_faults([], [])) == {"noise"}
    assert "noise" in checks(noise_faults([np.zeros(50)], [1.0]))
    assert checks(noise_faults([np.array([np.nan])], [1.0])) == {"noise"}


def test_noise_of_another_shape_is_a_fault():
    uniform = np.random.default_rng(4).uniform(-np.sqrt(3), np.sqrt(3), 4000)
    assert checks(noise_faults([uniform], [1.0])) == {"noise"}


def test_noise_that_is_used_twice_is_a_fault():
    one, two, three = noise_of()
    assert checks(noise_faults([one, two, one], [1.0] * 3)) == {"freshness"}
    assert checks(noise_faults([one, two, three * 0.5 + one * np.sqrt(0.75)], [1.0] * 3)) == {"freshness"}
    assert "freshness" in checks(noise_faults([np.tile(one, 2)], [1.0]))


def test_one_draw_for_every_entry_is_a_fault():
    assert noise_faults([np.full(400, 1.0)], [1.0]) != []


def test_poisson_samples_have_no_fault():
    assert poisson_faults(samples_of(), 300, 0.1) == []


@pytest.mark.parametrize("rate", [0.08, 0.13])
def test_another_rate_is_a_fault(rate):
    assert checks(poisson_faults(samples_of(rate=rate), 300, 0.1)) == {"sampling"}


def test_samples_of_one_size_and_passes_over_the_data_are_faults():
    generator = np.random.default_rng(5)
    fixed = [generator.choice(300, 30, replace=False) for _ in range(100)]
    epochs = [part for _ in range(10) for part in np.split(generator.permutation(300), 10)]
    assert "batch sizes" in str(poisson_faults(fixed, 300, 0.1)[0])
    assert len(poisson_faults(epochs, 300, 0.1)) == 3  # sizes, how often, and what consecutive samples share


def test_a_user_twice_in_a_sample_or_from_elsewhere_is_a_fault():
    assert checks(poisson_faults([np.array([1, 1])], 300, 0.1)) == {"sampling"}
    assert checks(poisson_faults([np.array([300])], 300, 0.1)) == {"sampling"}


def test_a_false_alarm_is_as_rare_as_it_says(monkeypatch):
    monkeypatch.setattr(draws, "FALSE_ALARM", 0.05)
    alarms = [
        (
            bool(noise_faults(noise_of(seed=seed, size=60), [1.0] * 3)),
            bool(poisson_faults(samples_of(seed=seed), 300, 0.1)),
        )
        for seed in range(150)
    ]
    assert np.all(np.mean(alarms, axis=0) < 0.14)  # 0.05 and five standard deviations

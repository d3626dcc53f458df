"""Noise and samples that nobody can guess, of the distribution that the accounting is about."""

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scipy import stats

from components.core.errors import Misconfigured
from components.privacy import randomness
from components.privacy.engine import poisson_sample


def test_generators_take_more_seed_than_can_be_tried():
    states = {randomness.numpy_generator().bit_generator.state["state"]["state"].tobytes() for _ in range(50)}
    assert len(states) == 50
    assert all(len(state) == 32 for state in states)


def test_the_stream_of_bits_is_aes_256_in_counter_mode_under_the_key_of_the_operating_system(monkeypatch):
    asked = []
    monkeypatch.setattr(randomness.secrets, "randbits", lambda bits: asked.append(bits) or 5)
    found = np.empty(48, np.uint8)
    randomness.Bits().fill(found)
    by_block = Cipher(algorithms.AES((5).to_bytes(32, "big")), modes.ECB()).encryptor()
    assert found.tobytes() == by_block.update(b"".join(number.to_bytes(16, "big") for number in range(3)))
    assert asked == [256]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_noise_is_standard_normal_in_every_entry_and_independent_between_chunks(threads):
    count = 5 * randomness._CHUNK + 17
    sums = [torch.full((count,), 3.0), torch.full((1,), 3.0, dtype=torch.float64)]
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        randomness.add_noise_(sums, 2.0, 0.5)
    finally:
        torch.set_num_threads(before)
    noise = (sums[0] - 1.5).numpy().astype(np.float64)
    assert stats.kstest(noise, "norm").pvalue > 1e-6
    assert stats.chi2(count).sf((noise**2).sum()) > 1e-7
    parts = [noise[start : start + 32_768] for start in range(0, 10 * 32_768, 32_768)]
    assert max(abs(np.corrcoef(parts)[np.triu_indices(10, 1)])) < 0.035  # 6 standard errors
    assert float(sums[1][0]) != 1.5


def test_the_tail_of_the_noise_goes_further_than_32_bits_of_a_uniform_number_could(monkeypatch):
    """The smallest radius number, all bits zero but the last, is what decides how far the tail reaches."""
    monkeypatch.setattr(randomness.Bits, "fill", lambda self, out: out.fill(0))
    assert float(randomness.Normal().draw(2, 1.0)[0]) == pytest.approx((2 * 63 * np.log(2)) ** 0.5)


def test_poisson_sampling_is_really_done():
    users, rate, draws = 2_000, 0.03, 400
    samples = [poisson_sample(users, rate) for _ in range(draws)]
    sizes = np.array([len(sample) for sample in samples])
    assert sizes.mean() == pytest.approx(users * rate, rel=0.03)
    assert sizes.var() == pytest.approx(users * rate * (1 - rate), rel=0.35)  # shuffling into fixed batches has 0
    seen = np.bincount(np.concatenate(samples), minlength=users)
    assert (seen == 0).sum() < users * 1e-3  # mean 12 times, some never by chance, some often
    assert seen.var() == pytest.approx(draws * rate * (1 - rate), rel=0.2)  # passes over the data have far less


def test_sampling_nobody_and_everybody():
    assert len(poisson_sample(0, 0.5)) == 0
    np.testing.assert_array_equal(poisson_sample(5, 1.0), np.arange(5))


@pytest.mark.parametrize("rate", [1.5, -0.1, float("nan")])
def test_a_sample_rate_that_is_no_probability_is_one_clear_sentence(rate):
    with pytest.raises(Misconfigured, match=r"A sample rate is a probability .*limit 0 to 1"):
        poisson_sample(10, rate)

"""Randomness that nobody can guess or make again: AES-256 in counter mode, keyed afresh by the operating system.

No key or seed is chosen, logged or kept. Torch's own CPU generator would not do: it keeps 32 bits of a seed, so all of
them can be tried. Not protected: a GPU draws from Philox, which is not cryptographic; and floating-point noise has low
bits that can tell about the sum it was added to (Mironov 2012).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

_CHUNK = 1 << 16
"""Numbers that are noised at once: with their scratch they stay in the cache of a core."""


def numpy_generator() -> np.random.Generator:
    """Return a generator with 256 bits of state from the operating system: for what needs no secrecy but variety."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(secrets.randbits(256), pool_size=8)))


class Bits:
    """A stream of unpredictable bytes: AES-256 in counter mode over zeros, under a key of its own."""

    def __init__(self) -> None:
        key = secrets.randbits(256).to_bytes(32, "big")
        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()  # no key twice: any nonce does
        self._zeros = bytes(0)

    def fill(self, out: NDArray[np.uint8]) -> None:
        """Overwrite `out`, a contiguous array of bytes."""
        if len(self._zeros) < len(out):
            self._zeros = bytes(len(out))
        self._encryptor.update_into(memoryview(self._zeros)[: len(out)], out.data)


def bernoulli(count: int, probability: float) -> NDArray[np.bool_]:
    """Return `count` independent coin flips, each True with `probability` (to 2⁻⁶⁴)."""
    if probability >= 1:
        return np.ones(count, dtype=bool)
    flips = np.empty(count, np.uint64)
    Bits().fill(flips.view(np.uint8))
    return flips < np.uint64(probability * 2.0**64)


def add_noise_(sums: Sequence[torch.Tensor], sigma: float, scale: float = 1.0) -> None:
    """Make every entry x of `sums` (flat, contiguous) into `scale` · (x + `sigma` · z), z standard normal, in place.

    On a CPU all threads that torch may use draw, each from a stream of its own, a chunk at a time: nothing as large as
    the sums is made beside them. A GPU draws by itself (Philox, 63 bits of seed): sending it there would take longer
    than the step.
    """
    for on_device in (one for one in sums if one.device.type != "cpu"):
        generator = torch.Generator(device=on_device.device).manual_seed(secrets.randbits(63))
        on_device.add_(torch.empty_like(on_device).normal_(generator=generator), alpha=sigma).mul_(scale)
    chunks = [part.numpy() for one in sums if one.device.type == "cpu" for part in torch.split(one, _CHUNK)]
    threads = min(torch.get_num_threads(), len(chunks))
    streams = [Normal() for _ in range(threads)]

    def work(thread: int) -> None:
        normal = streams[thread]
        for chunk in chunks[thread::threads]:
            if scale != 1.0:
                chunk *= scale
            chunk += normal.draw(len(chunk), sigma * scale)

    if threads == 1:
        work(0)
    elif threads:
        with ThreadPoolExecutor(threads - 1) as pool:
            others = [pool.submit(work, thread) for thread in range(1, threads)]
            work(0)
            for other in others:
                other.result()


class Normal:
    """Normal numbers of 32 bits, by Box and Muller (1958), in scratch that is used again.

    Three times as fast as NumPy's own, which go number by number, because logarithm, cosine and sine run on vectors.
    The radius comes from 64 bits, so that tails reach 9.3 standard deviations and not, as by 24 or 32 bits, 5.8 or 6.7:
    over millions of numbers a tail that cannot be drawn would be worth more than δ.
    """

    def __init__(self) -> None:
        half = _CHUNK // 2
        self._bits = Bits()
        self._random = np.empty(12 * half, np.uint8)
        self._radius, self._angle = np.empty(half, np.float32), np.empty(half, np.float32)
        self._out = np.empty(_CHUNK, np.float32)

    def draw(self, count: int, sigma: float) -> NDArray[np.float32]:
        """Return `count` numbers, at most 65,536, of standard deviation `sigma`; the next call overwrites them."""
        half = (count + 1) // 2
        radius, angle, out = self._radius[:half], self._angle[:half], self._out[: 2 * half]
        random = self._random[: 12 * half]
        self._bits.fill(random)
        uniform, turn = random[: 8 * half].view(np.int64), random[8 * half :].view(np.int32)
        uniform |= 1  # never zero, which has no logarithm
        np.copyto(radius, uniform, casting="unsafe")
        np.abs(radius, out=radius)
        radius *= np.float32(2.0**-63)
        np.log(radius, out=radius)
        radius *= np.float32(-2)
        np.sqrt(radius, out=radius)
        radius *= np.float32(sigma)
        np.copyto(angle, turn, casting="unsafe")
        angle *= np.float32(np.pi * 2.0**-31)
        np.multiply(np.cos(angle, out=out[:half]), radius, out=out[:half])
        np.multiply(np.sin(angle, out=out[half:]), radius, out=out[half:])
        return out[:count]

"""What a mechanism does with its randomness: every noised answer and every sample, recorded, repeated or replaced.

While a `Tape` plays, the entropy that noise and sampling are made from is the tape's, so that two runs on different
rows draw the same noise. While a run follows another, each of its answers is replaced by the other's: what it does
next may then depend on released values only, and any further difference is a leak.

This reaches into running modules and is for tests and audits on rows that are nobody's; it changes nothing for good.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """One noised answer: its value in units of the sum, and the σ that was asked for where the mechanism said so."""

    value: Vector
    sigma: float | None
    intended: int
    """Noisy steps whose intent was durable when it was drawn."""


@dataclass(frozen=True)
class Sample:
    """One draw of users for a step."""

    users: int
    rate: float
    chosen: NDArray[np.int64]


@dataclass
class Trace:
    """What one run drew, in order."""

    answers: list[Answer] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    intended: int = 0
    open: bool = True
    """Whether it still records: a module that was imported meanwhile may know a watched function for good."""

    def intend(self, steps: int) -> None:
        """Take the place of `Open.intend`."""
        self.intended += steps


class Tape:
    """A fixed stream of random bytes, one independent piece for each call, whatever its length."""

    def __init__(self, seed: int) -> None:
        self._seed, self._calls = seed, 0

    def bytes(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        self._calls += 1
        return hashlib.shake_256(f"{self._seed}/{self._calls}".encode()).digest(count)

    def bits(self, count: int) -> int:
        """Return the next number of `count` bits."""
        return int.from_bytes(self.bytes((count + 7) // 8), "big") >> (-count % 8)


@contextmanager
def traced(
    *, normaliser: float | None, tape: Tape | None = None, follow: Trace | None = None, behind: int = 0
) -> Iterator[Trace]:
    """Record what runs inside.

    Args:
        normaliser: the public batch that a DP-SGD training declares: what its optimizer is given, times this, is the
            noised sum. None for one-shot mechanisms.
        tape: where entropy comes from; None leaves it the operating system's.
        follow: the run whose answers replace those made here, and whose samples are taken again: of the same users,
            and of all that it did not have.
        behind: rows below the users' in both runs, which keep their places counted from the last.
    """
    trace = Trace()
    with ExitStack() as undo:
        undo.callback(setattr, trace, "open", False)
        import components.privacy.mechanisms

        if normaliser is not None:
            import components.privacy.engine  # noqa: F401  (both are there to be watched)
        if tape is not None:
            _play(tape, undo)
        _watch_sums(trace, follow, undo)
        _watch_samples(trace, follow, behind, undo)
        if normaliser is not None:
            _watch_optimizers(trace, follow, normaliser, undo)
        yield trace


def _play(tape: Tape, undo: ExitStack) -> None:
    def randbelow(limit: int) -> int:
        return tape.bits(limit.bit_length() + 64) % limit

    entropy = {"randbits": tape.bits, "token_bytes": tape.bytes, "randbelow": randbelow, "urandom": tape.bytes}
    for original in (secrets, os):
        for name, module in _rooms():
            if name.startswith("components.privacy.") and vars(module).get(original.__name__) is original:
                _exchange(module, original.__name__, _Instead(original, entropy), undo)


class _Instead:
    """A module with some functions exchanged."""

    def __init__(self, module: Any, functions: dict[str, Callable[..., Any]]) -> None:
        self._module, self._functions = module, functions

    def __getattr__(self, name: str) -> Any:
        return self._functions.get(name) or getattr(self._module, name)


def _watch_sums(trace: Trace, follow: Trace | None, undo: ExitStack) -> None:
    """Record one-shot answers wherever `noised_sum` is known by its name."""
    inside = [False]

    def watched(original: Callable[..., Vector]) -> Callable[..., Vector]:
        def noised_sum(vector: Any, sensitivity: float, noise_multiplier: float) -> Vector:
            if inside[0] or not trace.open:
                return original(vector, sensitivity, noise_multiplier)
            inside[0] = True
            try:
                value = original(vector, sensitivity, noise_multiplier)
            finally:
                inside[0] = False
            return _record(trace, follow, np.asarray(value, dtype=np.float64), sensitivity * noise_multiplier)

        return noised_sum

    _wrap("noised_sum", watched, undo)


def _watch_samples(trace: Trace, follow: Trace | None, behind: int, undo: ExitStack) -> None:
    def watched(original: Callable[[int, float], NDArray[np.int64]]) -> Callable[[int, float], NDArray[np.int64]]:
        def poisson_sample(users: int, sample_rate: float) -> NDArray[np.int64]:
            chosen = original(users, sample_rate)  # also where it is replaced: the tape moves on alike
            if not trace.open:
                return chosen
            if follow is not None and len(trace.samples) < len(follow.samples):
                chosen = _lined_up(follow.samples[len(trace.samples)], users, behind)
            trace.samples.append(Sample(users, sample_rate, chosen))
            return chosen

        return poisson_sample

    _wrap("poisson_sample", watched, undo)


def _lined_up(before: Sample, users: int, behind: int) -> NDArray[np.int64]:
    """Return the same users of `users`, all that were not there, and the same of those `behind` them."""
    then, now = before.users - behind, users - behind
    kept, last = before.chosen[before.chosen < min(then, now)], before.chosen[before.chosen >= then]
    return np.concatenate([kept, np.arange(then, now), last - then + now])


def _watch_optimizers(trace: Trace, follow: Trace | None, normaliser: float, undo: ExitStack) -> None:
    """Record what every optimizer is given; torch's own draws (dropout) start anew at each step."""
    import torch
    from torch.optim.optimizer import register_optimizer_step_pre_hook

    def hook(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        given = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        whole = torch.cat([gradient.detach().flatten() for gradient in given]).double().cpu().numpy()
        answer = _record(trace, follow, whole * normaliser, None) / normaliser
        if follow is not None and len(answer) == len(whole):
            start = 0
            for parameter, gradient in zip(parameters, given, strict=True):
                part = torch.from_numpy(answer[start : start + gradient.numel()]).reshape(gradient.shape)
                parameter.grad = part.to(gradient.dtype).to(gradient.device)
                start += gradient.numel()
        torch.manual_seed(len(trace.answers))

    undo.enter_context(torch.random.fork_rng(devices=[]))
    torch.manual_seed(0)
    undo.callback(register_optimizer_step_pre_hook(hook).remove)


def _record(trace: Trace, follow: Trace | None, value: Vector, sigma: float | None) -> Vector:
    """Record an answer and return what the mechanism goes on with."""
    place = len(trace.answers)
    trace.answers.append(Answer(value, sigma, trace.intended))
    if follow is None or place >= len(follow.answers):
        return value
    before = follow.answers[place].value
    return before if before.shape == value.shape else value


def _wrap(name: str, watched: Callable[[Any], Any], undo: ExitStack) -> None:
    for _, module in _rooms():
        if callable(original := vars(module).get(name)):
            _exchange(module, name, watched(original), undo)


def _exchange(module: Any, name: str, instead: Any, undo: ExitStack) -> None:
    undo.callback(setattr, module, name, vars(module)[name])
    setattr(module, name, instead)


def _rooms() -> list[tuple[str, Any]]:
    return [(name, module) for name, module in list(sys.modules.items()) if name.startswith(("components.", "tests."))]

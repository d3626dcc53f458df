"""Flags of performance reach the training, and are no part of what is released or charged."""

from __future__ import annotations

from typing import Any

import pytest

from components.core.params import PerformanceFlags
from components.stages.run import Run
from components.stages.train import train
from tests.unit.stages.conftest import but
from tests.unit.stages.toy import SERVICE


def test_flags_reach_every_candidate_and_another_flag_is_not_another_release(
    divided: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[PerformanceFlags | None] = []
    kind = type(SERVICE.floor)
    real = kind.fit

    def fit(self: Any, *given: Any, flags: PerformanceFlags | None = None, **options: Any) -> Any:
        seen.append(flags)
        return real(self, *given, **options)

    monkeypatch.setattr(kind, "fit", fit)
    flags = {"physical_batch_size": 64, "grad_sample_mode": "ghost"}
    trained = train(but(divided, performance=flags), "toy")
    assert seen == [PerformanceFlags(**flags)] * len(trained)
    head = divided.ledger().head
    assert train(divided, "toy") == trained  # found settled, by the same key
    assert divided.ledger().head == head

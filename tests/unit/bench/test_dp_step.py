"""What `bench/dp_step.py` counts as a step's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow  # PyTorch and Lightning are imported
BENCH = Path(__file__).parents[3] / "bench"


@pytest.fixture
def dp_step(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCH))
    yield pytest.importorskip("dp_step")
    for name in ("dp_step", "dp_models", "machine"):
        sys.modules.pop(name, None)


def test_the_peak_of_a_gpu_leaves_out_what_it_held_before_and_the_model(dp_step: Any, monkeypatch: Any) -> None:
    module = torch.nn.Linear(999, 1000)  # 4 MB
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    held = {"now": 7e6, "most": 7e6}
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda: held["now"])
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: held["most"])

    def training() -> None:
        held["most"] = 7e6 + 4e6 + 25e6

    assert dp_step.peak_of(training, module) == pytest.approx(25.0)


def test_the_intents_of_the_bench_are_those_of_a_ledger_and_end_with_the_plan(dp_step: Any) -> None:
    from components.core.errors import BudgetExhausted

    with dp_step._intents(dp_step.PLAN.model_copy(update={"steps": 2})) as intend:
        intend(1)
        intend(1)
        with pytest.raises(BudgetExhausted, match="2 steps held"):
            intend(1)

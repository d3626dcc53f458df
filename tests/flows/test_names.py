"""A run's name says what it works on."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from flows import names


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ({"service": "recommend", "source": "shop", "epsilon": 1.5, "author": "ana"}, "recommend · shop · ε=1.5"),
        ({"service": "recommend", "version": 3, "by": "ana"}, "recommend · version 3"),
        ({"source": "shop", "start": None, "end": None}, "shop"),
        (
            {"source": "shop", "start": datetime(2026, 1, 1), "end": None},
            "shop · 2026-01-01 00:00:00 to last event",
        ),
        ({"request": "0123456789abcdef"}, "0123456789ab"),
        ({"source": None, "start": None, "end": None}, "as params.yaml says"),
    ],
)
def test_a_run_is_named_by_the_parameters_that_it_was_given(
    parameters: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names, "flow_run", SimpleNamespace(parameters=parameters))
    assert names.run_name() == name

"""Every test of a conformance class that asks for `candidate` runs once for each of the service's candidates."""

from __future__ import annotations

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.cls is None or "candidate" not in metafunc.fixturenames:
        return
    service, iterative = metafunc.cls.service, metafunc.cls.iterative
    candidates = [
        pytest.param(candidate, id=name, marks=[pytest.mark.slow] if name in iterative else [])
        for name, candidate in service.candidates.items()
    ]
    metafunc.parametrize("candidate", candidates)

"""Every test of a conformance class that asks for `candidate` runs once for each of the service's candidates."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest

from components.privacy.plan import PrivacyPlan

_calibrated = cache(PrivacyPlan.calibrate)


@pytest.fixture(scope="class", autouse=True)
def _each_plan_is_calculated_once() -> Iterator[None]:
    """A plan follows from the figures it is for, and is most of what a training of three steps costs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PrivacyPlan, "calibrate", _calibrated)
        yield


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.cls is None or "candidate" not in metafunc.fixturenames:
        return
    service, iterative = metafunc.cls.service, metafunc.cls.iterative
    candidates = [
        pytest.param(candidate, id=name, marks=[pytest.mark.slow] if name in iterative else [])
        for name, candidate in service.candidates.items()
    ]
    metafunc.parametrize("candidate", candidates)

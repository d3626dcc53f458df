"""What a run opens is what its parameters say."""

from __future__ import annotations

import pytest

from components.core.errors import Misconfigured
from components.privacy.mechanisms import population
from components.stages.rows import private_rows
from components.stages.run import Run

from .conftest import but


@pytest.mark.parametrize(
    "changes", [{"privacy": {"block": "month"}}, {"split": {"train": 0.6, "validation": 0.2, "test": 0.2}}]
)
def test_one_changed_line_of_the_parameters_is_no_fresh_budget(divided: Run, changes: dict[str, object]) -> None:
    population(divided.ledger(), private_rows(divided, "toy")["test"], 20.0)
    assert divided.ledger().partition is not None
    with pytest.raises(Misconfigured, match=r"limit privacy\.block: quarter, split: \{train: 0\.8"):
        but(divided, **changes).ledger()

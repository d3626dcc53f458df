"""What a run opens is what its parameters say."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from components.core.errors import Misconfigured, Unavailable
from components.data.turns import turn
from components.data.versioning import REPRO
from components.privacy.mechanisms import population
from components.stages import workspace
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


def test_while_a_training_works_nobody_else_fills_its_workspace(run: Run) -> None:
    with workspace.alone(run):
        for patience in (0.0, 0.2):
            with pytest.raises(Unavailable, match="Another run works in"), turn(run.root, REPRO, patience=patience):
                pass
    with turn(run.root, REPRO, patience=0.0):
        pass


def test_a_second_training_waits_for_the_first_and_then_has_the_workspace_alone(run: Run) -> None:
    order: list[str] = []

    def train(name: str) -> None:
        with workspace.alone(run):
            order.append(f"{name} begins")
            time.sleep(0.05)
            order.append(f"{name} ends")

    with ThreadPoolExecutor(2) as both:
        list(both.map(train, ("one", "other")))
    first, second = order[0].split()[0], order[2].split()[0]
    assert order == [f"{first} begins", f"{first} ends", f"{second} begins", f"{second} ends"]


def test_a_service_that_the_parameters_do_not_name_is_none_whatever_its_folder_holds(run: Run) -> None:
    without = replace(run, params=run.params.model_copy(update={"services": {"other": {}}}))
    with pytest.raises(Misconfigured, match="toy is not among those"):
        without.service("toy")

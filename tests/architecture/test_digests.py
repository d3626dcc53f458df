"""A settled release is found again by a key over the code that made it, so that code must be all of it."""

from __future__ import annotations

import pytest
import yaml

from components.core import digest
from components.core.service import find
from components.evaluation.evaluate import mechanism_modules
from tests.architecture.source import ROOT

SERVICES = list(yaml.safe_load((ROOT / "params.yaml").read_text())["services"])
ROOMS = ["components.services", "components.evaluation", "components.training", "components.privacy"]
CHARGING = {
    f"components.privacy.{name}"
    for name in (
        *("accounting", "accounts", "backends", "chain", "holding", "journal", "ledger", "once"),
        *("opened", "postgres", "refusals", "release", "sqlite", "store", "tuning"),
    )
}
"""What reserves, charges and keeps an answer, whatever it is: it shapes none."""
IN_THE_KEY = {
    "components.privacy.adaptive",
    "components.privacy.plan",
    *(f"components.services.{service}.params" for service in SERVICES),
}
"""What makes the plan, whose every figure is in the key beside the digest of the code."""


@pytest.mark.parametrize("service", SERVICES)
def test_the_digest_of_a_candidate_covers_every_module_that_shapes_its_answer(service: str) -> None:
    left_out = {
        candidate.name: sorted(digest.reached(candidate.modules, ROOMS) - {*candidate.modules} - CHARGING - IN_THE_KEY)
        for candidate in find(service).candidates.values()
    }
    assert left_out == {name: [] for name in left_out}


@pytest.mark.parametrize("service", SERVICES)
def test_the_digest_of_an_evaluation_covers_every_module_that_draws_its_noise(service: str) -> None:
    covered = mechanism_modules(find(service))
    releasing = digest.reached(["components.evaluation.moments"], ["components.evaluation", "components.privacy"])
    assert releasing - covered - CHARGING - IN_THE_KEY == set()

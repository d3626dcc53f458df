"""Detectors of one-shot releases: a service's candidates, an evaluation and a count. None finds a fault."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from components.core import digest
from components.core.private import Private
from components.evaluation import evaluate as evaluation_room
from components.privacy import mechanisms
from components.privacy.accounting import epsilon_of
from components.privacy.canaries import Canaries
from components.privacy.draws import Fault
from components.privacy.lower_bounds import bounds
from components.privacy.release import Event, Gaussian
from components.privacy.replay import replay
from tests.conformance.makings import Makings
from tests.conformance.patches import noiseless
from tests.conformance.replays import replayed
from tests.conformance.test_ads import TestAds
from tests.conformance.test_demand import TestDemand
from tests.conformance.test_recommend import TestRecommend
from tests.conformance.test_search import TestSearch
from tests.unit.evaluation import toy
from tests.unit.privacy.builders import open_ledger

MU = 0.5
DELTA = 1e-5
COUNT_NOISE = 20.0


class Shop(TestRecommend):
    """The recommender where popular items stand alone, so that what is popular decides the columns."""

    __test__ = False
    options: ClassVar[dict[str, Any]] = {**TestRecommend.options, "enough_categories": 50}

    def baskets(self, users: int = 40, seed: int = 5) -> list[list[int]]:
        """No item is bought more often than the others by much, so that one user can change which are popular."""
        return [[(user + step) % len(self.items) for step in range(3)] for user in range(users)]


SUITES: dict[str, type[Makings]] = {"recommend": Shop, "ads": TestAds, "demand": TestDemand, "search": TestSearch}


def candidate(name: str, service: str = "recommend") -> list[Fault]:
    """Replay a candidate of a service on users with one, two and all items, and with one of them many times."""
    shop = SUITES[service]()
    with tempfile.TemporaryDirectory() as scratch:
        return list(replayed(shop, shop.service.candidates[name], Path(scratch), mu=MU, delta=DELTA).faults)


def audit(name: str, service: str = "recommend", users: int = 2000) -> list[Fault]:
    """Audit a candidate by its canaries, as every training does: their lower bound must not exceed the claim.

    The bound holds at 99.9%, so an honest candidate exceeds it in two independent audits once in a million times.
    """
    shop, event = SUITES[service](), Gaussian(noise_multiplier=1 / MU)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows = shop.rows(folder / "rows", shop.table(shop.baskets()))
        catalogue = shop.service.catalogue(shop.items_path(folder), shop.params())
        candidate = shop.service.candidates[name]
        floor = shop.trained(shop.service.floor, rows, folder)[0] if candidate.personal else None
        plan = candidate.plan(mu=MU, delta=DELTA, population=40, params=shop.params(), floor=floor)
        proved = []
        for number in range(2):
            canaries, out = Canaries.flipped(users), folder / f"audited-{number}"
            candidate.fit(rows, plan, catalogue, floor=floor, intend=lambda steps: None, out=out, canaries=canaries)
            proved.append(bounds(canaries.required(), plan.event, DELTA).epsilon)
    claimed = epsilon_of([event], DELTA)
    return [Fault("audit", f"ε is at least {min(proved):.3g}", f"{claimed:.3g}")] if min(proved) > claimed else []


def beside(name: str) -> list[Fault]:
    """Make a candidate's bundle without noise, beside canaries and without: it is the same bit by bit."""
    shop, canaries = Shop(), Canaries.flipped(200)
    with tempfile.TemporaryDirectory() as scratch, noiseless():
        folder = Path(scratch)
        rows = shop.rows(folder / "rows", shop.table(shop.baskets()))
        candidate = shop.service.candidates[name]
        bundles = [shop.trained(candidate, rows, folder / str(those is None), those)[0] for those in (None, canaries)]
        alone, together = map(digest.of_path, bundles)
    return [] if alone == together else [Fault("canaries", "with canaries another bundle is made", "the same")]


def evaluation(folder: Path) -> list[Fault]:
    """Replay an evaluation that chooses between bundles which one user can turn, and publishes their metrics."""
    service = toy.service(score=_score)
    bundles = {name: _bundle(folder / name, place) for place, name in enumerate(service.candidates)}
    runs = iter(range(1000))

    def mechanism(rows: np.ndarray, intend: Callable[[int], None], out: Path) -> Event:
        ledger = open_ledger(folder / f"home-{next(runs)}")
        private = Private(_load=lambda: rows, digest="d", blocks=("2000Q4",), split="validation")
        intend(1)  # the ledger's own intent is looked at by the ledger's detectors
        found = evaluation_room.evaluate(
            service=service,
            rows=private,
            dataset="d" * 64,
            bundles=bundles,
            chosen=None,
            champion=None,
            mu=MU,
            ledger=ledger,
            confidence=0.95,
            seed=1,
        )
        (out / "released.json").write_text(found.model_dump_json(exclude={"release", "ledger"}))
        return Gaussian(noise_multiplier=1 / MU)

    rows = np.tile([0.1, 0.9], 50)
    neighbours = {f"{value:g}": np.append(rows, value) for value in (0.9, 1.0, 1e9, np.nan)}
    plan = SimpleNamespace(event=Gaussian(noise_multiplier=1 / MU))
    return list(replay(mechanism, plan, rows, neighbours=neighbours, nobody=rows[:0]).faults)


def count(folder: Path) -> list[Fault]:
    """Replay the count that q, the normaliser and δ come from."""
    runs = iter(range(1000))

    def mechanism(rows: list[int], intend: Callable[[int], None], out: Path) -> Event:
        ledger = open_ledger(folder / f"home-{next(runs)}")
        private = Private(_load=lambda: rows, digest="d", blocks=("2000Q4",), split="train")
        intend(1)
        found = mechanisms.population(ledger, private, COUNT_NOISE)
        (out / "released.json").write_text(found.model_dump_json(exclude={"release", "ledger"}))
        return Gaussian(noise_multiplier=COUNT_NOISE)

    plan = SimpleNamespace(event=Gaussian(noise_multiplier=COUNT_NOISE))
    rows = list(range(300))
    found: list[Fault] = []
    for seed in range(2):
        found += replay(mechanism, plan, rows, neighbours={"one": [*rows, 300]}, nobody=[], seed=seed).faults
    return found


def _score(bundle: Path, rows: np.ndarray, seed: int) -> np.ndarray:
    """Users below a half prefer the second bundle, users above the third; as many of each are in the rows."""
    place = int((bundle / "number").read_text())
    liked = np.where(rows > 0.5, place == 2, place == 1)
    return np.column_stack([np.where(np.isfinite(rows), 0.2 + 0.6 * liked, np.nan), rows])


def _bundle(folder: Path, place: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "number").write_text(str(place))
    return folder

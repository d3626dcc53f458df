"""A service whose model is one noised number: the users that there are, of those expected. It trains at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from components.core.service import Metric, Service
from components.privacy.canaries import Canaries
from components.privacy.mechanisms import noised_sum
from components.privacy.release import Gaussian


class ToyParams(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    scale: float = 1.0


class ToyPlan(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    noise_multiplier: float
    sensitivity: float = 20.0
    population: int
    scale: float
    floor: str | None

    @property
    def event(self) -> Gaussian:
        return Gaussian(noise_multiplier=self.noise_multiplier)


@dataclass(frozen=True)
class Toy:
    """A candidate; the floor's number is half of the others'."""

    name: str
    personal: bool
    share: float = 1.0
    modules: tuple[str, ...] = (__name__,)

    def plan(self, *, mu: float, delta: float, population: int, params: ToyParams, floor: Path | None) -> ToyPlan:
        facts = {"population": population, "scale": params.scale, "floor": floor and floor.name}
        return ToyPlan(noise_multiplier=1 / mu, **facts)

    def at_noise(self, plan: ToyPlan, noise_multiplier: float) -> ToyPlan:
        return plan.model_copy(update={"noise_multiplier": noise_multiplier})

    def fit(
        self,
        rows: np.ndarray,
        plan: ToyPlan,
        catalogue: Any,
        *,
        intend: Callable[[int], None],
        out: Path,
        canaries: Canaries | None = None,
        **_: Any,
    ) -> Gaussian:
        intend(1)
        if canaries:
            reserved = canaries.as_items(np.zeros((1, 1))).sum(axis=0)[1:] * plan.sensitivity
            noisy = noised_sum(np.concatenate([[rows.sum()], reserved]), plan.sensitivity, plan.noise_multiplier)
            canaries.observe(noisy[1:] / plan.sensitivity)
        else:
            noisy = noised_sum(np.array([rows.sum()]), plan.sensitivity, plan.noise_multiplier)
        noised = float(noisy[0])
        nearness = max(0.0, 1 - abs(noised / plan.population - 1))
        (out / "number").write_text(repr(nearness if self.personal else nearness / 2))
        return plan.event


def rows(split: Path, public: Path, params: ToyParams) -> np.ndarray:
    """A one for each user."""
    return np.ones(len(pq.read_table(split / "interactions.parquet", columns=["user"])["user"].unique()))


def score(bundle: Path, values: np.ndarray, seed: int) -> np.ndarray:
    """The bundle's number, the same for every user."""
    return np.full((len(values), 1), float((bundle / "number").read_text()))


class Question(BaseModel):
    word: str


SERVICE = Service(
    name="toy",
    params=ToyParams,
    metrics=(Metric("nearness"),),
    candidates={one.name: one for one in (Toy("common", False, 0.2), Toy("linear", True, 1.0), Toy("deep", True, 2.0))},
    rows=rows,
    catalogue=lambda items, params: None,
    score=score,
    ceiling=lambda train, test, catalogue, params: {"linear": {"nearness": 1.0}},
    load=lambda bundle: float((bundle / "number").read_text()),
    predict=lambda loaded, question: f"{question.word} {loaded}",
    request=Question,
    answer=BaseModel,
    example={"word": "hello"},
)

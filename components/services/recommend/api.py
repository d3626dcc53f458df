"""What the shop's backend asks and is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from components.services.recommend.bundle import Bundle

MOST_HISTORY = 1000
MOST_ITEMS = 100


class Request(BaseModel):
    """One user's history, in any order, and how many items to recommend."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history: list[str] = Field(default_factory=list, max_length=MOST_HISTORY)
    """Items; what the catalogue does not know is counted and left aside. Without any, popularity answers."""
    k: int = Field(10, ge=1, le=MOST_ITEMS)
    category: str | None = None
    """Recommend only from this category, or from below it."""


class Recommended(BaseModel):
    """One recommended item."""

    model_config = ConfigDict(frozen=True)

    item: str
    title: str | None
    category: str
    score: float
    """Expected share of what comes next; it orders items, and is no probability of a purchase."""


class Answer(BaseModel):
    """The best items first; fewer than k where the category has no more."""

    model_config = ConfigDict(frozen=True)

    items: list[Recommended]
    unknown: int
    """Items of the history that the catalogue does not know."""
    model_version: int | None = None
    epsilon: float | None = None


EXAMPLE = {"history": [], "k": 10}


def load(folder: Path) -> Bundle:
    """Read a bundle whole into memory, its arrays as the answers need them."""
    from components.services.recommend.bundle import read_bundle

    return read_bundle(folder)


def predict(bundle: Bundle, request: Request) -> Answer:
    """Return the items with the best scores, none of which is in the history."""
    import numpy as np
    from scipy import sparse

    from components.evaluation.metrics import top_k
    from components.services.recommend.scoring import scores

    catalogue = bundle.catalogue
    known = sorted({catalogue.position[item] for item in request.history if item in catalogue.position})
    row = (np.ones(len(known), dtype=np.float32), (np.zeros(len(known), dtype=np.int64), known))
    scored = scores(bundle, sparse.csr_array(row, shape=(1, len(catalogue))))
    if request.category is not None:
        scored[0, ~catalogue.inside(request.category)] = -np.inf
    best = [int(column) for column in top_k(scored, request.k)[0] if column >= 0]
    return Answer(
        items=[
            Recommended(
                item=catalogue.items[column],
                title=catalogue.titles[column],
                category=catalogue.categories[column],
                score=float(scored[0, column]),
            )
            for column in best
        ],
        unknown=sum(item not in catalogue.position for item in request.history),
    )


def story(ask: Callable[[Mapping[str, Any]], dict[str, Any]]) -> list[str]:
    """Return what somebody who has the three most popular items may like, as lines of text."""
    history = ask({"history": [], "k": 3})["items"]
    answer = ask({"history": [item["item"] for item in history], "k": 5})
    return [
        "Somebody who has",
        *map(_line, history),
        "may like",
        *map(_line, answer["items"]),
        f"(version {answer['model_version']}, ε = {answer['epsilon']:.3g})",
    ]


def _line(item: Mapping[str, Any]) -> str:
    name = item["title"] or item["item"]
    return f"  {name} ({item['category']})" if item["category"] else f"  {name}"

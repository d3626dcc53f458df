"""The smaller form of a search engine, and simulated people on whom it is compared.

Of such a bundle nearly all is vectors of what is listed; they are in half precision already, so that eight bits would
not make it three times smaller, and four bits do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core.service import Smaller
from components.services import bundles
from components.services.search.bundle import read_bundle
from components.services.search.data import Rows, Search
from components.services.search.retrieval import Candidates
from components.services.search.scoring import Engine
from components.services.search.text import words

USERS, QUERIES, HISTORY = 1500, 300, 12
_FAITHFUL = 0.7
"""How much of what somebody took before is of the category that is searched for."""


def simulated(folder: Path, seed: int) -> Rows:
    """Return people who look for an item, the popular ones more often, by two or three words of it, have taken mostly
    things of its category, and take what the bundle's own scores make likely.
    """
    engine, drawn = Engine(read_bundle(folder)), np.random.default_rng(seed)
    catalogue, encoded = engine.bundle.catalogue, dict[str, npt.NDArray[np.float32]]()
    popular = engine.bundle.arrays["popularity"].astype(np.float64)
    popular /= popular.sum()
    sought = drawn.choice(len(catalogue), min(QUERIES, len(catalogue)), replace=False, p=popular)
    queries = [_remembered(catalogue.texts[item], drawn) for item in sought]
    engine.retrieval.encode(queries, encoded)
    found = [engine.retrieval.candidates(query, encoded) for query in queries]
    answered = [place for place, listed in enumerate(found) if len(listed)]
    category = np.unique(catalogue.categories, return_inverse=True)[1]

    def people() -> Iterator[tuple[Search, ...]]:
        for place in drawn.choice(answered, USERS if answered else 0):
            like = popular * np.where(category == category[sought[place]], _FAITHFUL, 1 - _FAITHFUL)
            history = tuple(drawn.choice(len(like), HISTORY, p=like / like.sum()).tolist())
            item, shown = _taken(engine, found[place], history, drawn)
            yield (Search(queries[place], (item,), (shown,), history),)

    users = tuple(people())
    return Rows(users, ((),) * len(users), catalogue, encoded)


def _taken(engine: Engine, found: Candidates, history: tuple[int, ...], drawn: np.random.Generator) -> tuple[int, int]:
    """Return an item of what is ordered again, drawn by the scores, and its place from 1."""
    order, scores, _ = engine.ordered(found, history)
    logits = scores[: engine.bundle.config.candidates or None].astype(np.float64)
    odds = np.exp(logits - logits.max())
    place = int(drawn.choice(len(odds), p=odds / odds.sum()))
    return int(found.items[order[place]]), place + 1


def _remembered(text: str, drawn: np.random.Generator) -> str:
    """Return two or three words of a text, in their order."""
    said = words(text)
    kept = sorted(drawn.choice(len(said), min(len(said), int(drawn.integers(2, 4))), replace=False))
    return " ".join(said[place] for place in kept)


SMALLER = Smaller(ways={"int4": bundles.as_int4}, simulated=simulated)

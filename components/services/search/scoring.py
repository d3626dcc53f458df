"""From a bundle and searches to lists, and from lists to one line of metrics a user."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from components.core.service import Metric
from components.services.search.bundle import Bundle, read_bundle
from components.services.search.data import Rows
from components.services.search.features import OF_HISTORY, Floats, Kinds, features, found_by_query, places
from components.services.search.retrieval import FOUND, Candidates, Retrieval

METRICS = (Metric("ndcg@10"), Metric("mrr"), Metric("recall@100"), Metric("zero_results"))
"""Means over users of the means over their searches; of `zero_results` less is better."""

_PROBES = 200


class Engine:
    """A bundle that answers. Order within what the floor found is the re-ranker's, where there is one."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.retrieval = Retrieval(bundle)
        self.kinds = Kinds(bundle)

    @property
    def personal(self) -> bool:
        """Whether a history changes an answer."""
        return self.bundle.config.kind == "reranker"

    def ordered(self, found: Candidates, history: Sequence[int]) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
        """Return the order of what was found, as places in `found`; the scores in that order; and what the history
        adds to each, in that order.
        """
        if not self.personal or not len(found):
            return np.arange(len(found)), found.fused.astype(np.float32), np.zeros(len(found), dtype=np.float32)
        seen, weights = features(self.bundle, self.kinds, found, history), self.bundle.arrays["weights"]
        scores = (seen @ weights).astype(np.float32)
        own = (seen[:, OF_HISTORY] @ weights[OF_HISTORY]).astype(np.float32)
        again = self.bundle.config.candidates
        # What is not ordered again stays below, as it was.
        order = np.r_[np.lexsort((found.items[:again], -scores[:again])), np.arange(len(found))[again:]]
        scores[again:] = np.minimum(scores[again:], scores[:again].min())
        return order, scores[order], own[order]


def score(folder: Path, rows: Rows, seed: int) -> npt.NDArray[np.float64]:
    """Return `METRICS` of every row, `(users, metrics)`: un-noised, private.

    Each row has its line, in the order of `rows`, which its own searches decide. What was taken is the target: what
    stood high was taken more, so that figures favour lists like the one that was shown; lines of two bundles are
    compared under the same favour.
    """
    return lines(Engine(read_bundle(folder)), rows)


def lines(engine: Engine, rows: Rows) -> npt.NDArray[np.float64]:
    """Return `METRICS` of every row by an engine, whatever catalogue it was made on: what the rows' catalogue does not
    list takes no place, and a target that the bundle does not know is missed.
    """
    place, found = places(rows, engine.bundle), found_by_query(rows, engine.retrieval)
    still = np.zeros(len(engine.bundle.catalogue), dtype=bool)
    still[place[place >= 0]] = True
    answer = np.zeros((len(rows), len(METRICS)))
    for row, searches in enumerate(rows.users):
        for search in searches:
            history = [int(place[item]) for item in search.history if place[item] >= 0]
            candidates = found[search.query]
            order, _, _ = engine.ordered(candidates, history)
            listed = candidates.items[order]
            listed = listed[still[listed]]
            answer[row] += figures_of(listed, place[list(search.taken)])
        answer[row] /= len(searches)
    return np.clip(answer, 0, 1)


def probe(folder: Path) -> dict[str, float]:
    """Return how often an item is among the first ten of a search for its own title: of public titles alone."""
    engine = Engine(read_bundle(folder))
    titles = engine.bundle.catalogue.titles
    titled = [place for place, title in enumerate(titles) if title][:: max(1, len(titles) // _PROBES)][:_PROBES]
    vectors: dict[str, npt.NDArray[np.float32]] = {}
    engine.retrieval.encode([str(titles[place]) for place in titled], vectors)
    hits = 0
    for place in titled:
        title = str(titles[place])
        hits += place in engine.retrieval.candidates(title, vectors).items[:10]
    return {"known_item@10": hits / max(len(titled), 1)}


def figures_of(listed: npt.NDArray[np.int64], targets: npt.NDArray[np.int64]) -> list[float]:
    """Return `METRICS` of one list of items, the best first, for what was taken; −1 is what cannot be found."""
    hits = np.isin(listed[:FOUND], targets[targets >= 0])
    gains = 1 / np.log2(np.arange(2, 12))
    ideal = gains[: len(targets)].sum()
    first = np.flatnonzero(hits)
    return [
        float(gains[: len(hits[:10])][hits[:10]].sum() / ideal),
        float(1 / (first[0] + 1)) if len(first) else 0.0,
        float(hits.sum() / len(targets)),
        float(len(listed) == 0),
    ]

"""What is reached without privacy: a yardstick, for public sources only. Nothing here can be registered."""

from __future__ import annotations

from components.services.search import fused, phrases, reranker
from components.services.search.bundle import Bundle
from components.services.search.data import Catalogue, Rows
from components.services.search.params import SearchParams
from components.services.search.retrieval import Retrieval
from components.services.search.scoring import METRICS, Engine, lines


def ceiling(train: Rows, test: Rows, catalogue: Catalogue, params: SearchParams) -> dict[str, dict[str, float]]:
    """Return un-noised mean metrics on `test` of both candidates without privacy."""
    means = {
        name: lines(Engine(bundle), test).mean(axis=0)
        for name, bundle in zip(("fused", "reranker"), bundles(train, catalogue, params), strict=True)
    }
    return {
        name: {metric.name: float(value) for metric, value in zip(METRICS, values, strict=True)}
        for name, values in means.items()
    }


def bundles(train: Rows, catalogue: Catalogue, params: SearchParams) -> tuple[Bundle, Bundle]:
    """Return floor and re-ranker without noise."""
    bare = fused.bundle_of(catalogue, params)
    listed = phrases.phrases_of(catalogue, params.phrases)
    added = fused.parts(train, listed, Retrieval(bare), params.max_phrases_per_user)
    floor = fused.with_popularity(bare, added.sum(axis=0), listed, 0.0)
    learnt, _ = reranker.train(train, floor, params, plan=None)
    return floor, learnt

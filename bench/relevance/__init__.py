"""The order of the shop's search, on simulated shops: floor, re-ranker, ceiling, the truth, and peers.

Peers are BM25 from its library, with that library's own words and no spelling, and the same list fused with meaning and
popularity by reciprocal ranks (Cormack, Clarke and Büttcher 2009), as search engines offer it.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.data import shop
from components.language.variations import generators, with_typos
from components.privacy import accounting
from components.services.search import SERVICE
from components.services.search.bundle import Bundle, read_bundle
from components.services.search.ceiling import bundles
from components.services.search.data import Catalogue, Rows, by_user, pick, read_catalogue
from components.services.search.features import found_by_query
from components.services.search.params import FusionParams, SearchParams
from components.services.search.retrieval import Candidates
from components.services.search.scoring import METRICS, Engine, figures_of, lines

METRIC_NAMES = [metric.name for metric in METRICS]
_DELTA, _TYPOS, _RANKS = 1e-6, 0.08, 60.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shop:
    """Rows of four fifths of a shop's users and of the others, and `(others, items)` what the latter truly like."""

    train: Rows
    test: Rows
    catalogue: Catalogue
    truth: Floats


def on_shops(users: int, seeds: Sequence[int], epsilon: float) -> dict[str, Any]:
    """Return mean figures over the test users of several shops, and paired gains with 95% intervals."""
    found: dict[str, list[Floats]] = {}
    for seed in seeds:
        for name, values in _on_shop(_shop(users, seed), epsilon):
            found.setdefault(name, []).append(values)
    pooled = {name: np.concatenate(values) for name, values in found.items()}
    for name, values in pooled.items():
        print(
            f"{name:>44}: " + ", ".join(f"{m} {v:.4f}" for m, v in zip(METRIC_NAMES, values.mean(axis=0), strict=True))
        )
    pairs = (
        ("re-ranker", "floor"),
        ("re-ranker", "the same, histories emptied"),
        ("without privacy", "re-ranker"),
        ("truth", "floor"),
    )
    gains = {f"{one} over {other}": _gain(pooled[one], pooled[other]) for one, other in pairs}
    for pair, gain in gains.items():
        print(f"ndcg@10, {pair}: {gain[0]:+.4f} ± {gain[1]:.4f}")
    means = {
        name: dict(zip(METRIC_NAMES, values.mean(axis=0).round(4), strict=True)) for name, values in pooled.items()
    }
    counted = {"users": users, "seeds": list(seeds), "test_users": len(pooled["floor"])}
    return {"epsilon": epsilon, **counted, "figures": means, "gains": gains}


def tuned(users: int, seeds: Sequence[int]) -> dict[str, Any]:
    """Return the floor's ndcg@10 by its weights of words and of meaning, without noise."""
    params, grid = SearchParams(), dict[str, list[float]]()
    for seed in seeds:
        one = _shop(users, seed)
        floor, _ = bundles(one.train, one.catalogue, params)
        for words in (5.0, 10.0, 15.0, 20.0, 30.0):
            for meaning in (0.0, 2.0, 5.0, 10.0):
                config = floor.config.model_copy(update={"fusion": FusionParams(words=words, meaning=meaning)})
                value = lines(Engine(replace(floor, config=config)), one.test)[:, 0].mean()
                grid.setdefault(f"words {words:g}, meaning {meaning:g}", []).append(float(value))
    means = {name: round(float(np.mean(values)), 4) for name, values in grid.items()}
    for name, value in sorted(means.items(), key=lambda pair: -pair[1]):
        print(f"{name:>24}: {value}")
    return {"users": users, "seeds": list(seeds), "ndcg@10": means}


def judged(rows: Rows, catalogue: Catalogue, made: Mapping[str, Bundle]) -> Iterator[tuple[str, Floats]]:
    """Yield the figures of BM25 from its library and of each of the bundles."""
    yield "bm25 alone", _by_list(rows, _library(rows, catalogue))
    for name, bundle in made.items():
        yield name, lines(Engine(bundle), rows)


def _on_shop(one: Shop, epsilon: float) -> Iterator[tuple[str, Floats]]:
    params = SearchParams()
    mu = accounting.gaussian_mu(epsilon, _DELTA)
    with tempfile.TemporaryDirectory() as scratch:
        floor: Path | None = None
        for name, share in SERVICE.shares(mu, len(one.train), one.catalogue).items():
            candidate, out = SERVICE.candidates[name], Path(scratch) / name
            facts: dict[str, Any] = {"delta": _DELTA, "population": len(one.train), "params": params}
            plan = candidate.plan(mu=mu * math.sqrt(share), floor=floor, **facts)
            candidate.fit(one.train, plan, one.catalogue, floor=floor, intend=lambda steps: None, out=out)
            floor = floor or out
        assert floor is not None
        private = read_bundle(floor), read_bundle(Path(scratch) / "reranker")
    clear = bundles(one.train, one.catalogue, params)
    mistyped = _mistyped(one.test)
    found = found_by_query(one.test, Engine(private[0]).retrieval)
    yield "bm25 alone", _by_list(one.test, _library(one.test, one.catalogue))
    yield "reciprocal ranks", _by_list(one.test, {query: _ranked(listed) for query, listed in found.items()})
    yield "floor", lines(Engine(private[0]), one.test)
    yield "re-ranker", lines(Engine(private[1]), one.test)
    yield "the same, histories emptied", lines(Engine(private[1]), _emptied(one.test))
    yield "floor without privacy", lines(Engine(clear[0]), one.test)
    yield "without privacy", lines(Engine(clear[1]), one.test)
    yield "truth", _by_truth(one, found, private[0].config.fusion)
    yield "mistyped: bm25 alone", _by_list(mistyped, _library(mistyped, one.catalogue))
    yield "mistyped: floor", lines(Engine(private[0]), mistyped)
    yield "mistyped: re-ranker", lines(Engine(private[1]), mistyped)


def _shop(users: int, seed: int) -> Shop:
    options = shop.ShopOptions(users=users, seed=seed)
    world = shop.world(options)
    with tempfile.TemporaryDirectory() as scratch:
        pq.write_table(world.catalogue.table, Path(scratch) / "items.parquet")
        catalogue = read_catalogue(Path(scratch) / "items.parquet")
    columns = ["user", "ts", "event", "session", "item", "query", "position"]
    events = pa.concat_tables([table.select(columns) for table in shop.simulate(options, world)])
    people = by_user(events, catalogue, SearchParams())
    rows = Rows(tuple(own for own, _ in people.values()), tuple(had for _, had in people.values()), catalogue)
    numbers = np.array([int(name.rpartition("-")[2]) for name in people])
    likes = np.concatenate([shop.truth(options, world, group) for group in range(-(-users // 2000))])
    likes = likes[:, np.argsort(world.catalogue.table["item"].to_pylist())]
    learn, other = np.split(np.random.default_rng(seed).permutation(len(rows)), [round(0.8 * len(rows))])
    return Shop(pick(rows, learn), pick(rows, other), catalogue, likes[numbers[other]])


def _emptied(rows: Rows) -> Rows:
    return replace(rows, users=tuple(tuple(replace(one, history=()) for one in user) for user in rows.users))


def _mistyped(rows: Rows) -> Rows:
    drawn = generators(5, len(rows))
    pairs = zip(rows.users, drawn, strict=True)
    users = tuple(tuple(replace(s, query=with_typos(s.query, _TYPOS, by)) for s in user) for user, by in pairs)
    return replace(rows, users=users, encoded={})


def _library(rows: Rows, catalogue: Catalogue) -> dict[str, npt.NDArray[np.int64]]:
    import bm25s
    import Stemmer

    stemmer, queries = Stemmer.Stemmer("english"), sorted({one.query for user in rows.users for one in user})
    index = bm25s.BM25()
    index.index(
        bm25s.tokenize(catalogue.texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False
    )
    terms = bm25s.tokenize(queries, stopwords="en", stemmer=stemmer, show_progress=False)
    found, scores = index.retrieve(terms, k=min(100, len(catalogue)), show_progress=False)
    return {query: places[kept > 0] for query, places, kept in zip(queries, found, scores, strict=True)}


def _ranked(found: Candidates) -> npt.NDArray[np.int64]:
    score = np.zeros(len(found))
    for part in (found.words, found.meaning, found.popular):
        score += 1 / (_RANKS + 1 + np.searchsorted(np.sort(-part), -part, side="left"))
    return found.items[np.lexsort((found.items, -score))]


def _by_list(rows: Rows, listed: Mapping[str, npt.NDArray[np.int64]]) -> Floats:
    return np.array(
        [np.mean([figures_of(listed[s.query], np.array(s.taken)) for s in user], axis=0) for user in rows.users]
    )


def _by_truth(one: Shop, found: Mapping[str, Candidates], fusion: FusionParams) -> Floats:
    """Return the figures where each user's true taste stands in the place of popularity."""
    answer = []
    for user, likes in zip(one.test.users, one.truth, strict=True):
        own = []
        for search in user:
            listed = found[search.query]
            score = fusion.words * listed.words + fusion.meaning * listed.meaning + np.log2(likes[listed.items])
            own.append(figures_of(listed.items[np.lexsort((listed.items, -score))], np.array(search.taken)))
        answer.append(np.mean(own, axis=0))
    return np.array(answer)


def _gain(one: Floats, other: Floats) -> tuple[float, float]:
    paired = one[:, 0] - other[:, 0]
    return round(float(paired.mean()), 4), round(float(1.96 * paired.std() / math.sqrt(len(paired))), 4)

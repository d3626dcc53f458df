"""Known items of a published catalogue: films whose titles are remembered in part, as they are and mistyped."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from components.core import digest, settings
from components.data.sources.published import MovieLens
from components.data.sources.wheels import MOVIELENS
from components.language.variations import generators, with_typos
from components.services.search.data import Catalogue, Rows, Search
from components.services.search.fused import bundle_of
from components.services.search.params import SearchParams
from components.services.search.scoring import METRICS, Engine, lines
from components.services.search.text import words

ASKED = 300


@pytest.fixture(scope="module")
def films() -> Catalogue:
    """The published films, where a run has left their wheel already: nothing is fetched for a test."""
    folders = [os.environ.get("JALI_TEST_WHEELS"), settings.load().home / "wheels"]
    for folder in (Path(name) for name in folders if name):
        path = folder / MOVIELENS.filename
        if path.exists() and digest.of_path(path) == MOVIELENS.sha256:
            table = MovieLens(path).items()
            return Catalogue(table.select(["item", "title", "category", "brand"]))
    pytest.skip(f"needs {MOVIELENS.filename} in JALI_TEST_WHEELS, or in JALI_HOME/wheels as a run leaves it")


@pytest.mark.slow
def test_a_film_is_found_by_words_of_its_title_mistyped_or_not(films: Catalogue) -> None:
    drawn = np.random.default_rng(4)
    titles = [title or "" for title in films.titles]
    places = [n for n in drawn.permutation(len(films)) if sum(len(word) > 3 for word in words(titles[n])) > 2][:ASKED]
    remembered = [" ".join(word for word in words(titles[place]) if len(word) > 3) for place in places]
    mistyped = [with_typos(text, 0.04, by) for text, by in zip(remembered, generators(1, ASKED), strict=False)]
    engine = Engine(bundle_of(films, SearchParams(dense=False)))
    found = {}
    for kind, queries in (("remembered", remembered), ("mistyped", mistyped)):
        searches = tuple((Search(q, (int(at),), (1,), ()),) for q, at in zip(queries, places, strict=True))
        means = lines(engine, Rows(searches, ((),) * len(places), films)).mean(axis=0)
        found[kind] = dict(zip([metric.name for metric in METRICS], means, strict=True))
    assert found["remembered"]["mrr"] > 0.9
    assert found["remembered"]["zero_results"] == 0
    assert found["mistyped"]["mrr"] > 0.8
    assert found["mistyped"]["recall@100"] > 0.9

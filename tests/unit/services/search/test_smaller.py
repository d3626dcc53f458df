"""Simulated people of a search engine, and its smaller form: four bits where there were sixteen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from components.core import digest
from components.core.errors import ContractBroken
from components.core.params import SmallerBundles
from components.evaluation import smaller as gate
from components.evaluation.footprint import bundle_megabytes
from components.services.search import SERVICE, smaller
from components.services.search.bundle import Bundle, read_bundle, write_bundle
from components.services.search.data import Catalogue
from components.services.search.features import NAMES, start
from components.services.search.fused import bundle_of
from components.services.search.params import SearchParams
from components.services.search.scoring import Engine
from components.services.search.smaller import HISTORY, USERS, simulated
from components.serving import bundle as served_from
from components.serving.app import create
from tests.unit.serving.toy import Client, HandTurned, champion, for_service

from .shop import bundle as small_shop

KINDS = ("Dark Chocolate", "Green Tea", "Rye Bread", "Mild Cheese", "Ground Coffee", "Olive Soap")
BRANDS = ("Foxglove", "Harrow", "Pebble", "Amber", "Linden")
ITEMS = 120


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A re-ranker over 120 items of six kinds and five brands that listens to what was taken before."""
    drawn = np.random.default_rng(1)
    kinds, brands = np.arange(ITEMS) % len(KINDS), drawn.integers(len(BRANDS), size=ITEMS)
    columns = {
        "item": [f"i{item:03d}" for item in range(ITEMS)],
        "title": [f"{BRANDS[b]} {KINDS[k]}, {5 * n} g" for n, (k, b) in enumerate(zip(kinds, brands, strict=True))],
        "category": [f"Food/{KINDS[k]}" for k in kinds],
        "brand": [BRANDS[b] for b in brands],
    }
    popular = drawn.gamma(1.0, size=ITEMS) + 0.05
    floor = bundle_of(Catalogue(pa.table(columns)), SearchParams(), popular / popular.sum())
    weights = start(floor.config.fusion)
    weights[NAMES.index("brand")] = 1.0
    config = floor.config.model_copy(update={"kind": "reranker", "candidates": 30})
    out = tmp_path_factory.mktemp("search") / "whole"
    write_bundle(out, Bundle(config, {**floor.arrays, "weights": weights}, floor.catalogue))
    return out


@pytest.mark.slow
def test_simulated_people_take_what_the_scores_make_likely_and_are_the_same_for_one_seed(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smaller, "QUERIES", 25)
    monkeypatch.setattr(smaller, "USERS", 300)
    rows = simulated(whole, 3)
    assert len(rows) == 300
    assert rows.users == simulated(whole, 3).users != simulated(whole, 4).users
    assert {len(one.history) for (one,) in rows.users} == {HISTORY}
    engine = Engine(read_bundle(whole))
    for (one,) in rows.users[:50]:
        found = engine.retrieval.candidates(one.query, rows.encoded)
        order, _, _ = engine.ordered(found, one.history)
        assert found.items[order[one.shown[0] - 1]] == one.taken[0]
    places = np.array([one.shown[0] for (one,) in rows.users])
    assert np.median(places) < 10, "what stands high is taken more"
    assert places.max() <= engine.bundle.config.candidates


@pytest.mark.slow
def test_the_smaller_form_meets_its_gate_at_the_usual_limits(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_CALLS", 3)  # no test asserts a timing
    monkeypatch.setattr(smaller, "QUERIES", 100)
    form = gate.shrink(
        SERVICE, "reranker", whole, SmallerBundles(most_slower=1000), tmp_path
    )  # no test asserts a timing
    assert form.way == "int4"
    assert form.megabytes > 3 * form.tried[0].megabytes
    assert form.tried[0].most_loss <= SmallerBundles().most_loss


@pytest.mark.slow
def test_its_vectors_are_in_half_precision_again_and_near_to_what_they_were(whole: Path, tmp_path: Path) -> None:
    SERVICE.smaller.ways["int4"](whole, tmp_path / "small")  # type: ignore[union-attr]
    one, other = (read_bundle(folder).arrays["vectors"] for folder in (whole, tmp_path / "small"))
    assert one.dtype == other.dtype == np.float16
    cosines = (one.astype(np.float32) * other.astype(np.float32)).sum(axis=1)
    assert 0.97 < cosines.min() < 1 - 1e-4, "four bits are not sixteen"


@pytest.mark.slow
def test_serving_loads_the_smaller_form_alone_and_answers_with_it(whole: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    SERVICE.smaller.ways["int4"](whole, small)  # type: ignore[union-attr]
    assert bundle_megabytes(small) < bundle_megabytes(whole) / 3
    one = replace(champion(tmp_path, 3), bundle=small, bundle_digest=digest.of_path(small))
    app = create((SERVICE,), HandTurned(search=for_service("search", one)))
    app.state.rollout.refresh()
    query = {"q": "chocolate for baking", "k": 5}
    answer = Client(app).get("/v1/search?q=chocolate+for+baking&k=5")
    assert answer.status_code == 200
    served = [(item["item"], item["why"]["meaning"]) for item in answer.json()["items"]]
    told = {
        folder: [
            (item.item, item.why.meaning)
            for item in SERVICE.predict(SERVICE.load(folder), SERVICE.request(**query)).items
        ]
        for folder in (small, whole)
    }
    assert served == told[small]
    assert served != told[whole], "it is the smaller one that answers"
    one = replace(one, bundle=whole)
    with pytest.raises(ContractBroken, match="not the one that was approved"):
        served_from.load(SERVICE, one)


def test_a_small_catalogue_without_meaning_has_simulated_people_too(tmp_path: Path) -> None:
    floor = small_shop()
    weights = start(floor.config.fusion)
    config = floor.config.model_copy(update={"kind": "reranker", "candidates": 30})
    empty = Bundle(config, {**floor.arrays, "weights": weights}, floor.catalogue)
    write_bundle(tmp_path / "one", empty)
    assert len(simulated(tmp_path / "one", 1)) == USERS

"""Figures of a list: what they are worth by hand, and what history has to do with them."""

from __future__ import annotations

import numpy as np
import pytest

from components.services.search.bundle import write_bundle
from components.services.search.data import Rows, Search
from components.services.search.scoring import METRICS, Engine, lines, probe

from .shop import bundle, catalogue

PLACE = catalogue().position
NAMES = [metric.name for metric in METRICS]


def figures(*searches: Search) -> dict[str, float]:
    rows = Rows((searches,), ((),), catalogue())
    return dict(zip(NAMES, lines(Engine(bundle({"c1": 9.0, "c2": 5.0})), rows)[0].tolist(), strict=True))


def test_the_first_place_is_worth_all_and_the_second_less() -> None:
    first, second = (figures(Search("dark chocolate", (PLACE[item],), (1,), ())) for item in ("c1", "c2"))
    assert first == {"ndcg@10": 1.0, "mrr": 1.0, "recall@100": 1.0, "zero_results": 0.0}
    assert second["ndcg@10"] == pytest.approx(1 / np.log2(3))
    assert second["mrr"] == 0.5


def test_nothing_found_is_a_zero_result_and_what_is_not_found_is_missed() -> None:
    assert figures(Search("zzzzzz", (PLACE["c1"],), (1,), ()))["zero_results"] == 1.0
    missed = figures(Search("tea", (PLACE["c1"],), (1,), ()))
    assert (missed["ndcg@10"], missed["recall@100"], missed["zero_results"]) == (0.0, 0.0, 0.0)


def test_a_user_is_the_mean_of_the_searches() -> None:
    good = Search("dark chocolate", (PLACE["c1"],), (1,), ())
    bad = Search("zzzzzz", (PLACE["c1"],), (1,), ())
    assert figures(good, bad)["ndcg@10"] == 0.5


def test_known_items_are_found_by_their_own_titles(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("probe") / "bundle"
    write_bundle(folder, bundle())
    assert probe(folder) == {"known_item@10": 1.0}

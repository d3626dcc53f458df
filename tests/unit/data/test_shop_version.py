"""The simulator's version travels with what comes from it, and the fit that is shown is that of the frozen version."""

from __future__ import annotations

import copy
import csv
from pathlib import Path

import pytest

from components.core.params import Source, Window
from components.data import shop
from components.data.collect import Collected, collect, window_key
from components.data.sources import open_source
from components.registry.card import model_card
from tests.unit.registry.people import evidence, people

FIT = Path(__file__).parents[3] / "docs" / "shop.csv"
SOURCE = Source.model_validate({"kind": "shop", "public": True, "users": 20, "items": 100})


def test_what_is_collected_from_the_simulator_says_its_version(tmp_path: Path) -> None:
    found = collect(open_source(SOURCE, tmp_path), SOURCE, Window(), "quarter", tmp_path / "home", tmp_path / "raw")
    assert found.simulator == shop.VERSION
    assert Collected.read(tmp_path / "raw" / "collected.json") == found


def test_a_record_of_peoples_events_says_nothing_of_a_simulator() -> None:
    record = Collected(source="files", public=False, start=None, end=None, blocks=("2024Q1",), digest_keyed="a" * 64)
    assert "simulator" not in record.body()
    assert record.digest != record.model_copy(update={"simulator": 2}).digest


def test_a_window_of_another_version_is_another_window(monkeypatch: pytest.MonkeyPatch) -> None:
    files = Source.model_validate({"kind": "files", "public": True})
    before = window_key(SOURCE, Window()), window_key(files, Window())
    monkeypatch.setattr(shop, "VERSION", shop.VERSION + 1)
    after = window_key(SOURCE, Window()), window_key(files, Window())
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_the_card_of_a_version_says_that_its_data_are_simulated_and_by_which_simulator(tmp_path: Path) -> None:
    people(tmp_path, "ana")
    real = evidence(tmp_path)
    made = copy.copy(real)
    object.__setattr__(made, "dataset", real.dataset.model_copy(update={"simulator": 2}))
    assert "Trained on `shop` (simulated, version 2), blocks" in model_card(made)
    assert "Trained on `shop`, blocks" in model_card(real)


def _fit() -> list[dict[str, str]]:
    with FIT.open() as file:
        return list(csv.DictReader(file))


def test_the_fit_that_is_shown_is_that_of_the_frozen_version() -> None:
    assert {int(row["version"]) for row in _fit()} == {shop.FITTED}, "run `python bench/shop_fit.py --out docs`"


def test_the_shop_resembles_ta_feng_in_habits_popularity_and_the_gain_of_a_personal_model() -> None:
    away = {row["statistic"]: float(row["shop"]) / float(row["ta-feng"]) for row in _fit()}
    assert len(away) > 40
    assert {name: ratio for name, ratio in away.items() if not 0.75 < ratio < 1.35} == {}
    assert away["full: ndcg@100 of EASE ÷ popularity"] == pytest.approx(1, abs=0.15)
    assert away["families: ndcg@100 of EASE ÷ popularity"] == pytest.approx(1, abs=0.15)

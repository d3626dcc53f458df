"""Simulated people of a support service, and its smaller form."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.core import digest
from components.core.params import SmallerBundles
from components.evaluation import smaller as gate
from components.evaluation.footprint import bundle_megabytes
from components.services.support import SERVICE
from components.services.support.bundle import read_bundle, write_bundle
from components.services.support.smaller import MESSAGES, USERS, simulated
from components.serving.app import create
from tests.unit.serving.toy import Client, HandTurned, champion, for_service

from .shop import bundle_of


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("support")
    write_bundle(folder / "whole", bundle_of(folder / "public"))
    return folder / "whole"


def test_simulated_people_write_about_what_the_bundle_thinks_they_do_and_no_text_is_encoded(whole: Path) -> None:
    rows, bundle = simulated(whole, 3), read_bundle(whole)
    assert (len(rows), set(rows.sizes)) == (USERS, {MESSAGES})
    assert np.array_equal(rows.vectors, np.array(list(rows.known.values())))
    likely = bundle.probabilities(rows.vectors)
    drawn = np.bincount(rows.intents, minlength=len(rows.names))
    error = np.sqrt((likely * (1 - likely)).sum(axis=0))
    assert np.all(np.abs(drawn - likely.sum(axis=0)) < 5 * error)
    assert np.array_equal(rows.intents, simulated(whole, 3).intents)
    assert not np.array_equal(rows.intents, simulated(whole, 4).intents)


@pytest.mark.slow
def test_the_smaller_form_meets_its_gate_at_the_usual_limits(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "_CALLS", 3)  # no test asserts a timing
    form = gate.shrink(SERVICE, "head", whole, SmallerBundles(most_slower=1000), tmp_path)
    assert form.way == "int8"
    assert form.megabytes > 3 * form.tried[0].megabytes
    assert form.tried[0].most_loss <= SmallerBundles().most_loss


def test_serving_loads_the_smaller_form_alone_and_answers_with_it(whole: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    SERVICE.smaller.ways["int8"](whole, small)  # type: ignore[union-attr]
    assert bundle_megabytes(small) < bundle_megabytes(whole)
    one = replace(champion(tmp_path, 3), bundle=small, bundle_digest=digest.of_path(small))
    app = create((SERVICE,), HandTurned(support=for_service("support", one)))
    app.state.rollout.refresh()
    question = {"message": "When do I get my money back?"}
    answer = Client(app).post("/v1/support/answer", json=question)
    assert answer.status_code == 200
    told = {
        folder: SERVICE.predict(SERVICE.load(folder), SERVICE.request(**question)).confidence
        for folder in (small, whole)
    }
    assert answer.json()["confidence"] == told[small]
    assert told[small] != told[whole], "it is the smaller one that answers"

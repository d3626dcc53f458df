"""A bundle that is made smaller after its training: what goes on, what is refused, and that it costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from components.core import digest, service
from components.core.records import Evaluation
from components.core.service import Smaller
from components.evaluation.smaller import Shrunk
from components.stages.audit import audit
from components.stages.evaluate import evaluate
from components.stages.gate import gate, summary_of
from components.stages.request import training_key
from components.stages.run import Run
from components.stages.train import observed, train
from tests.unit.stages.conftest import but
from tests.unit.stages.test_charged import charged
from tests.unit.stages.toy import SERVICE

SIMULATED: list[Path] = []


def cut(digits: int) -> Callable[[Path, Path], None]:
    def way(folder: Path, out: Path) -> None:
        (out / "number").write_text((folder / "number").read_text()[: 2 + digits])

    return way


def nobody(folder: Path, seed: int) -> np.ndarray:
    SIMULATED.append(folder)
    return np.ones(20)


@pytest.fixture
def asked(divided: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A workspace whose toy is to be made smaller: three digits are enough, one is too few."""
    SIMULATED.clear()
    smaller = Smaller(ways={"one digit": cut(1), "three digits": cut(3)}, simulated=nobody)
    monkeypatch.setattr(service, "find", lambda name: replace(SERVICE, smaller=smaller))
    limits = {"services": ["toy"], "most_loss": 0.002, "most_slower": 1000.0}
    return but(divided, smaller=limits, training={"ceiling": False})


def test_the_smaller_form_is_what_is_evaluated_judged_and_registered(asked: Run) -> None:
    trained = {one.candidate: one for one in train(asked, "toy")}
    form = Shrunk.read(asked.evidence("toy", "train") / "linear-smaller.json")
    assert form.way == "three digits"
    assert form.megabytes >= 3 * next(one.megabytes for one in form.tried if one.way == form.way)
    assert digest.of_path(asked.models("toy") / "linear") == form.bundle == trained["linear"].bundle != form.whole
    evaluate(asked, "toy")
    measured = Evaluation.read(asked.evidence("toy", "evaluate") / "test.json")
    audit(asked, "toy")
    assert measured.bundles[measured.chosen] == trained[measured.chosen].bundle == gate(asked, "toy").bundle
    assert "times smaller than what was released (three digits)" in summary_of(asked, "toy")


def test_a_form_that_loses_too_much_does_not_go_on_and_says_so(asked: Run) -> None:
    trained = train(but(asked, smaller={"most_loss": 0.0}), "toy")
    form = Shrunk.read(asked.evidence("toy", "train") / "deep-smaller.json")
    assert form.way is None
    assert form.bundle == form.whole == trained[2].bundle
    assert [one.accepted for one in form.tried] == [False, False]
    assert form.tried[0].most_loss > form.tried[1].most_loss > 0
    assert form.sentence() == "No smaller form was good enough (one digit, three digits tried): it is as it was."


def test_a_form_that_is_neither_small_nor_fast_enough_does_not_go_on(asked: Run) -> None:
    train(but(asked, smaller={"times_smaller": 1000.0, "times_faster": 1000.0}), "toy")
    assert Shrunk.read(asked.evidence("toy", "train") / "deep-smaller.json").way is None


def test_the_floor_stays_as_it_is_and_so_does_a_service_that_nobody_named(asked: Run) -> None:
    train(asked, "toy")
    assert not (asked.evidence("toy", "train") / "common-smaller.json").exists()
    SIMULATED.clear()
    train(but(asked, smaller={"services": []}), "toy")
    assert not list(asked.evidence("toy", "train").glob("*-smaller.json"))
    assert not SIMULATED


def test_it_costs_nothing_and_what_was_measured_is_not_measured_again(asked: Run) -> None:
    whole = train(but(asked, smaller={"services": []}), "toy")
    before = charged(asked)
    small = train(asked, "toy")
    assert charged(asked) == before
    assert [one.key for one in small] == [one.key for one in whole]
    times = len(SIMULATED)
    assert train(asked, "toy") == small
    assert len(SIMULATED) == times > 0


def test_the_canaries_of_the_release_are_found_by_its_smaller_form(asked: Run) -> None:
    small = train(asked, "toy")
    assert all(observed(asked, one) for one in small)


def test_a_training_that_asks_for_it_is_another_one_and_the_others_keep_their_key(asked: Run) -> None:
    without = but(asked, smaller={"services": []})
    assert training_key(without, "toy") != training_key(asked, "toy")
    assert training_key(without, "toy") == training_key(but(without, smaller={"most_loss": 0.1}), "toy")

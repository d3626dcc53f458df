"""A training that is killed at ten random steps and resumed: every step that drew noise is charged, redone ones too."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fire import recount
from tests.unit.privacy.builders import open_ledger, rows

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_every_step_that_drew_noise_is_charged_redone_ones_too(home):
    seed = random.randrange(10**6)
    home.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "tests.fire.training", str(home), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.stdout.split() == ["-9"] * 10 + ["0"], f"seed {seed}: {done.stdout}{done.stderr[-2000:]}"

    found = rows(home)
    drawn = (home / "drawn").read_text().count("step")
    attempts = [event for (key, _), (_, event) in recount.charges(found).items() if key == "k" and event is not None]
    ledger = open_ledger(home)
    resumed_from = int((ledger.settled("k").folder / "resumed").read_text())
    assert 0 < resumed_from < 60 <= drawn, "it was resumed, and the whole of it was trained"
    assert recount.intended(found) >= drawn, f"seed {seed}"
    assert sum(map(recount.steps_of, attempts)) >= drawn, f"seed {seed}"
    # Whoever died had everything charged that it held; the last one what it took from the checkpoint on.
    started = sum(json.loads(body)["key"] == "k" for _, verb, body, _ in found if verb == "start")
    assert sorted(map(recount.steps_of, attempts)) == [60 - resumed_from] + [60] * (started - 1)
    assert started >= 2
    recount.require_within(found)
    ledger.verify()

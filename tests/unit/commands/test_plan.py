"""`jali plan`, on the curves that are shipped."""

from __future__ import annotations

import json
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from components.cli import jali
from components.core.errors import Misconfigured
from components.evaluation.curves import CURVES
from components.evaluation.planning import Answer

ASKED = ["--users", "6000", "--items", "1000", "--epsilon", "1"]


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(jali, ["plan", *arguments], catch_exceptions=True)


def test_the_answer_says_what_is_kept_by_whom_at_which_epsilon_and_what_more_would_need() -> None:
    done = _run(*ASKED)
    assert done.exit_code == 0, done.output
    for told in ("6,000 users and 1,000 items", "DP popularity", "for 90%", "without privacy", "ta-feng and on shop"):
        assert told in done.output
    assert max(len(line) for line in done.output.splitlines()) <= 120
    assert "EXTRAPOLATED" not in done.output


def test_the_json_is_the_answer_by_its_schema() -> None:
    done = _run(*ASKED, "--json")
    found = Answer.model_validate(json.loads(done.stdout))
    assert (found.users, found.items, found.asked.epsilon) == (6_000, 1_000, 1.0)
    assert found.asked.kept.low < found.asked.kept.expected < found.asked.kept.high
    assert set(Answer.model_json_schema()["required"]) <= set(json.loads(done.stdout))


def test_an_extrapolation_says_so_and_what_was_measured() -> None:
    done = _run("--users", "50", "--items", "1000", "--epsilon", "1")
    assert done.exit_code == 0
    assert "EXTRAPOLATED: the number of users" in done.output
    assert "ta-feng: " in done.output


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (["--users", "0", "--items", "10", "--epsilon", "1"], "--users"),
        (["--users", "10", "--items", "0", "--epsilon", "1"], "--items"),
        (["--users", "10", "--items", "10", "--epsilon", "0"], "--epsilon"),
    ],
)
def test_bad_input_is_one_sentence(arguments: list[str], option: str) -> None:
    error = _run(*arguments).exception
    assert isinstance(error, Misconfigured)
    assert str(error).count("\n") == 0
    assert option in str(error)


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_picture_is_drawn(tmp_path: Path, ending: str) -> None:
    picture = tmp_path / f"plan.{ending}"
    assert _run(*ASKED, "--plot", str(picture)).exit_code == 0
    assert picture.stat().st_size > 5_000


def test_a_picture_of_no_known_format_is_refused_before_it_is_drawn(tmp_path: Path) -> None:
    error = _run(*ASKED, "--plot", str(tmp_path / "plan.txt")).exception
    assert isinstance(error, Misconfigured)
    assert list(tmp_path.iterdir()) == []


def test_an_installed_package_brings_the_curves_along() -> None:
    told = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert any(fnmatch(CURVES.name, pattern) for pattern in told["package-data"]["*"])

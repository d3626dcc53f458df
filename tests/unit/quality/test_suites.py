"""A suite is reviewed JSON: what it may say, and what is said about a mistake in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import Misconfigured
from components.quality import suites

from .tables import EXPECTATIONS

EXPECTED: dict[str, Any] = {
    "name": "quantity",
    "expectation": "expect_column_values_to_be_between",
    "kwargs": {"column": "quantity", "min_value": 1},
    "level": "row",
    "reason": "A quantity is positive.",
}


def _write(path: Path, **changes: Any) -> Path:
    suite = {"name": "events", "note": "What users did.", "expectations": [{**EXPECTED, **changes}]}
    path.write_text(json.dumps(suite))
    return path


def _resolve(kwargs: dict[str, Any], parameters: dict[str, Any], **changes: Any) -> Any:
    return suites.resolve(suites.Expected(**{**EXPECTED, "kwargs": kwargs, **changes}), parameters, "events")


@pytest.mark.parametrize("path", sorted(EXPECTATIONS.glob("*.json")), ids=lambda path: path.stem)
def test_every_shipped_suite_loads_under_its_own_name(path: Path) -> None:
    assert suites.load(path).name == path.stem


def test_a_suite_has_the_same_digest_however_its_json_is_laid_out(tmp_path: Path) -> None:
    path = EXPECTATIONS / "events.json"
    again = tmp_path / "events.json"
    again.write_text(json.dumps(json.loads(path.read_text()), indent=7, sort_keys=True))
    assert suites.load(again).digest == suites.load(path).digest


@pytest.mark.parametrize(
    "changes",
    [
        {"kwargs": {"column": "quantity", "min_value": 0}},
        {"level": "table"},
        {"optional": True},
        {"reason": "Any quantity will do."},
    ],
)
def test_an_edited_suite_has_another_digest(tmp_path: Path, changes: dict[str, Any]) -> None:
    before = suites.load(_write(tmp_path / "events.json")).digest
    assert suites.load(_write(tmp_path / "events.json", **changes)).digest != before


def test_an_unknown_expectation_is_refused_with_the_nearest_names(tmp_path: Path) -> None:
    path = _write(tmp_path / "events.json", expectation="expect_column_values_to_be_betwixt")
    with pytest.raises(Misconfigured, match=r"be_betwixt.*nearest expect_column_values_to_be_between"):
        suites.load(path)


def test_an_unknown_argument_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    path = _write(tmp_path / "events.json", kwargs={"column": "quantity", "minimum": 1})
    with pytest.raises(Misconfigured, match=r"unknown argument \(found minimum, limit one of .*min_value"):
        suites.load(path)


def test_an_unknown_key_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"unknown key expectations\.0\.severity.*level"):
        suites.load(_write(tmp_path / "events.json", severity="high"))


def test_two_expectations_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text(json.dumps({"name": "events", "note": "", "expectations": [EXPECTED, EXPECTED]}))
    with pytest.raises(Misconfigured, match="'quantity' is used twice"):
        suites.load(path)


@pytest.mark.parametrize(
    ("expectation", "kwargs"),
    [
        ("expect_column_max_to_be_between", {"column": "ts", "min_value": 1}),
        ("expect_column_values_to_be_between", {"column": "quantity", "min_value": 1, "mostly": 0.9}),
    ],
)
def test_an_expectation_that_cannot_tell_rows_apart_is_refused_at_row_level(
    tmp_path: Path, expectation: str, kwargs: dict[str, Any]
) -> None:
    with pytest.raises(Misconfigured, match="cannot tell which rows fail"):
        suites.load(_write(tmp_path / "events.json", expectation=expectation, kwargs=kwargs))


def test_a_missing_suite_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"absent\.json does not exist"):
        suites.load(tmp_path / "absent.json")


def test_a_suite_that_is_not_json_is_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "events.json").write_text('{"name": "events",\n "note": }')
    with pytest.raises(Misconfigured, match=r"is not JSON.*line 2"):
        suites.load(tmp_path / "events.json")


def test_a_parameter_takes_its_value_from_the_run() -> None:
    kwargs = {"column": "quantity", "max_value": {"$parameter": "most"}}
    assert _resolve(kwargs, {"most": 7}).max_value == 7


def test_a_parameter_may_be_moved_in_days_or_scaled() -> None:
    kwargs = {
        "column": "ts",
        "min_value": {"$parameter": "end", "minus_days": 7},
        "max_value": {"$parameter": "end"},
    }
    assert _resolve(kwargs, {"end": datetime(2000, 12, 8, tzinfo=UTC)}).min_value == datetime(2000, 12, 1, tzinfo=UTC)
    assert _resolve({"column": "q", "min_value": {"$parameter": "n", "times": 0.5}}, {"n": 9}).min_value == 4


def test_an_unknown_parameter_is_refused_with_those_that_exist() -> None:
    with pytest.raises(Misconfigured, match=r"unknown parameter \(found mots, limit one of least, most\)"):
        _resolve({"column": "q", "max_value": {"$parameter": "mots"}}, {"most": 1, "least": 0})


def test_an_unknown_key_beside_a_parameter_is_refused() -> None:
    with pytest.raises(Misconfigured, match="found plus_days, limit minus_days, times"):
        _resolve({"column": "q", "max_value": {"$parameter": "most", "plus_days": 1}}, {"most": 1})


def test_a_parameter_without_value_is_refused_unless_the_expectation_is_optional() -> None:
    kwargs = {"column": "q", "max_value": {"$parameter": "most"}}
    with pytest.raises(Misconfigured, match="needs the parameter most"):
        _resolve(kwargs, {"most": None})
    assert _resolve(kwargs, {"most": None}, optional=True) is None


def test_an_argument_of_the_wrong_kind_is_refused_with_its_name() -> None:
    with pytest.raises(Misconfigured, match=r"'quantity' is not accepted.*mostly"):
        _resolve({"column": "q", "min_value": 1, "mostly": "often"}, {}, level="table")

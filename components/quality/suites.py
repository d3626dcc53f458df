"""Suites: what a table must be, as JSON that a person reads, edits and reviews.

A suite file holds a `name`, a `note` and `expectations`. Each has Great Expectations' own `expectation` and `kwargs`,
our `name` and `reason` (one sentence for whoever meets it), and a `level`: at "row", rows that fail go to quarantine
and the rest passes; at "table", a failure refuses the table.

A value that belongs to the run is written `{"$parameter": "window_end"}`, with `"minus_days": 30` for a time or
`"times": 0.5` for a count (rounded). An expectation marked `optional` is left out of a run in which a parameter that it
refers to has no value; without the mark that is an error, so that nothing is skipped silently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.core import digest
from components.core.errors import Misconfigured
from components.core.params import parse

if TYPE_CHECKING:
    from great_expectations.expectations import Expectation

_PARAMETER = "$parameter"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Expected(_Part):
    """One expectation of a suite."""

    name: str = Field(min_length=1)
    """How it is called in quarantine, in records and in messages; unique in its suite."""
    expectation: str
    """Great Expectations' name, such as `expect_column_values_to_not_be_null`."""
    kwargs: dict[str, Any]
    level: Literal["row", "table"]
    reason: str = Field(min_length=1)
    optional: bool = False

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters that its kwargs refer to."""
        return [value[_PARAMETER] for value in self.kwargs.values() if _is_reference(value)]


class Suite(_Part):
    """What one table must be."""

    name: str
    note: str
    table: Literal["interactions", "activity", "messages"] = "interactions"
    """Of a service's suite: the prepared table that it speaks of."""
    expectations: tuple[Expected, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_unique(self) -> Suite:
        names = [expected.name for expected in self.expectations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the name {twice[0]!r} is used twice")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 of the content: any edit changes it, a new line or another order of keys does not."""
        return digest.of_json(self.model_dump(mode="json", exclude_defaults=True))


def load(path: Path) -> Suite:
    """Read the suite in `path`.

    Raises:
        Misconfigured: it is missing, is not JSON, or names a key, an expectation or an argument that does not exist.
    """
    try:
        tree = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise Misconfigured(f"The suite {path} does not exist", next_step="Write it, or restore it.") from error
    except ValueError as error:
        raise Misconfigured(
            f"The suite {path} is not JSON: {error}", next_step="Mend the line that it names."
        ) from error
    suite: Suite = parse(Suite, tree, str(path))
    for expected in suite.expectations:
        _check_names(expected, path)
    return suite


def resolve(expected: Expected, parameters: Mapping[str, Any], suite: str) -> Expectation | None:
    """Return the Great Expectations object of `expected` in this run, or None where it is left out.

    Raises:
        Misconfigured: a parameter is unknown or has no value, or an argument has a value that is not allowed.
    """
    where = f"Suite {suite}, expectation {expected.name!r}"
    for name in expected.parameters:
        if name not in parameters:
            raise Misconfigured(
                f"{where} refers to an unknown parameter",
                value=name,
                limit=f"one of {', '.join(sorted(parameters)) or 'none'}",
                next_step="Rename it in the suite.",
            )
        if parameters[name] is None and expected.optional:
            return None
        if parameters[name] is None:
            raise Misconfigured(
                f"{where} needs the parameter {name}, which has no value in this run",
                next_step='Give it a value, or mark the expectation "optional": true.',
            )
    kwargs = {key: _value(value, parameters, f"{where}, {key}") for key, value in expected.kwargs.items()}
    try:
        return _catalogue()[expected.expectation](
            **kwargs, notes=expected.reason, meta={"name": expected.name, "level": expected.level}
        )
    except (TypeError, ValueError) as error:  # pydantic's ValidationError is a ValueError
        complaint = " ".join(str(error).split())[:200]
        raise Misconfigured(f"{where} is not accepted: {complaint}", next_step="Mend its kwargs.") from error


def _catalogue() -> dict[str, type[Expectation]]:
    import great_expectations.expectations as shipped

    classes = [getattr(shipped, name) for name in dir(shipped) if name.startswith("Expect") and name != "Expectation"]
    return {cls.expectation_type: cls for cls in classes}


def _check_names(expected: Expected, path: Path) -> None:
    from great_expectations.expectations.expectation import (
        ColumnMapExpectation,
        ColumnPairMapExpectation,
        MulticolumnMapExpectation,
    )

    known = _catalogue()
    cls = known.get(expected.expectation)
    if cls is None:
        near = get_close_matches(expected.expectation, known, n=3, cutoff=0) or sorted(known)
        raise Misconfigured(
            f"{path}: {expected.name!r} names an unknown expectation",
            value=expected.expectation,
            limit=f"Great Expectations' names, nearest {', '.join(near)}",
            next_step="Correct the name.",
        )
    unknown = sorted(set(expected.kwargs) - set(cls.__fields__))
    if unknown:
        own = sorted(set(cls.__fields__) - {"id", "meta", "notes", "description", "rendered_content", "windows"})
        raise Misconfigured(
            f"{path}: {expected.name!r} gives {expected.expectation} an unknown argument",
            value=unknown[0],
            limit=f"one of {', '.join(own)}",
            next_step="Correct the argument.",
        )
    by_row = issubclass(cls, (ColumnMapExpectation, ColumnPairMapExpectation, MulticolumnMapExpectation))
    if expected.level == "row" and (not by_row or "mostly" in expected.kwargs):
        raise Misconfigured(
            f"{path}: {expected.name!r} cannot tell which rows fail",
            value="mostly" if by_row else expected.expectation,
            limit='level "row" takes an expectation about each row, without mostly',
            next_step='Set its level to "table".',
        )


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and _PARAMETER in value


def _value(value: Any, parameters: Mapping[str, Any], where: str) -> Any:
    if not _is_reference(value):
        return value
    extra = sorted(set(value) - {_PARAMETER, "minus_days", "times"})
    if extra:
        raise Misconfigured(
            f"{where} has an unknown key beside {_PARAMETER}",
            value=extra[0],
            limit="minus_days, times",
            next_step="Rename or remove it.",
        )
    found = parameters[value[_PARAMETER]]
    if "minus_days" in value:
        found = found - timedelta(days=value["minus_days"])
    if "times" in value:
        found = round(found * value["times"])
    return found

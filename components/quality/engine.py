"""Great Expectations, kept quiet: an ephemeral context without analytics, progress bars or files of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from components.core.settings import silence_telemetry

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
    from great_expectations.expectations import Expectation

_NOT_A_LIMIT = {"column", "column_list", "column_A", "column_B", "row_condition", "exact_match", "batch_id"}


@dataclass(frozen=True)
class Outcome:
    """What came of one expectation.

    Attributes:
        passed: it held (with `mostly`: for enough rows).
        evaluated: False where it could not be evaluated, for example on a missing column.
        rows: positions of the rows that failed.
        found: what was found, without a row's value: shares in whole percent, counts in two digits. It is not noised.
        limit: what would have been accepted.
    """

    passed: bool
    evaluated: bool
    rows: np.ndarray
    found: str
    limit: str


def validate(
    name: str, expectations: Sequence[Expectation], table: pa.Table
) -> tuple[dict[str, Outcome], ExpectationSuiteValidationResult]:
    """Evaluate `expectations` on `table`; return the outcome by the expectation's name, and what Data Docs render."""
    silence_telemetry()
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral", project_config=_quiet_project())
    asset = context.data_sources.add_pandas("workspace").add_dataframe_asset(name)
    definition = gx.ValidationDefinition(
        name=name,
        data=asset.add_batch_definition_whole_dataframe("whole"),
        suite=context.suites.add(gx.ExpectationSuite(name=name, expectations=list(expectations))),
    )
    result = context.validation_definitions.add(definition).run(
        batch_parameters={"dataframe": table.to_pandas(types_mapper=_column_type)},
        result_format={"result_format": "COMPLETE", "return_unexpected_index_query": False},
    )
    return {each.expectation_config.meta["name"]: _outcome(each) for each in result.results}, result


def _column_type(kind: pa.DataType) -> Any:
    """Keep Arrow's types, so that no integer turns into a float for one null.

    Times and fractions have nulls of their own in pandas, whose native columns Great Expectations compares as a whole
    instead of value by value.
    """
    import pandas as pd

    return None if pa.types.is_timestamp(kind) or pa.types.is_floating(kind) else pd.ArrowDtype(kind)


def _quiet_project() -> Any:
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    return DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )


def _outcome(each: ExpectationValidationResult) -> Outcome:
    # Thousands of row numbers are ours to use, and would drown the page that is made from this result.
    rows = each.result.pop("unexpected_index_list", None) or []
    kwargs = each.expectation_config.kwargs
    limit = ", ".join(f"{key} {_coarse(value)}" for key, value in kwargs.items() if key not in _NOT_A_LIMIT)
    complaint = _complaint(each.exception_info)
    if complaint is None and len(rows) != each.result.get("unexpected_count", len(rows)):
        complaint = "no answer: not every failing row was named"  # a row that is not named would pass
    return Outcome(
        passed=bool(each.success) and complaint is None,
        evaluated=complaint is None,
        rows=np.asarray(rows, dtype=np.int64),
        found=complaint or _found(each.result),
        limit=limit or "every row",
    )


def _complaint(info: dict[str, Any]) -> str | None:
    # The flat form says whether there was an exception; the other has one entry for each metric that failed.
    entries = [info] if "raised_exception" in info else list(info.values())
    messages = [str(entry["exception_message"]) for entry in entries if entry["raised_exception"]]
    if not messages:
        return None
    first = messages[0].splitlines()[0]
    # Any other message may quote a row's value, which Data Docs may show and a log may not.
    return f"no answer: {first}" if first.endswith("does not exist.") else "no answer; Data Docs show the exception"


def _found(result: dict[str, Any]) -> str:
    missing = result.get("details", {}).get("mismatched", {}).get("missing")
    if missing:
        return f"no column {', '.join(missing)}"
    if "observed_value" in result:
        return _coarse(result["observed_value"])
    share = result.get("unexpected_percent") or 0.0
    return f"{'under 1' if share < 1 else round(share)}% of the rows failing"


def _coarse(value: Any) -> str:
    if isinstance(value, date):  # a datetime and a pandas Timestamp are dates too
        return value.isoformat()[:10]
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) >= 100:
        return f"about {float(f'{value:.1e}'):,.0f}"
    return ", ".join(map(_coarse, value)) if isinstance(value, list) else str(value)

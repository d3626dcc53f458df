"""Hold a table against its suite; the answer is a record, the rows that failed, and what Data Docs are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from components.core.errors import ContractBroken
from components.core.records import DataCheck
from components.quality.engine import Outcome, validate
from components.quality.suites import Expected, Suite, resolve

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult


@dataclass(frozen=True)
class Checked:
    """What a check found. All but `record` is private and stays in the trusted zone.

    Attributes:
        record: the evidence.
        suite: what the table was held against.
        reasons: `(rows,)` strings: the name of the first row-level expectation that the row failed, null if none.
        broken: the table-level expectations that did not hold, in the suite's order.
        left_out: names of the optional expectations whose parameters have no value in this run.
        result: Great Expectations' own result.
    """

    record: DataCheck
    suite: Suite
    reasons: pa.Array
    broken: tuple[tuple[Expected, Outcome], ...]
    left_out: tuple[str, ...]
    result: ExpectationSuiteValidationResult

    def demand(self, *, public: bool, docs: Path) -> DataCheck:
        """Return the record of a table that passed.

        Args:
            public: the source is declared public, so that the sentence may carry figures. It is shown outside of the
                trusted zone, and what was found in private rows is not noised.
            docs: the index of the Data Docs, which hold the figures in any case.

        Raises:
            ContractBroken: it did not; the sentence names suite, expectation, next step and Data Docs, and for a public
                source the value found and the limit.
        """
        if not self.broken:
            return self.record
        expected, outcome = self.broken[0]
        column = f" on {expected.kwargs['column']}" if "column" in expected.kwargs else ""
        raise ContractBroken(
            f"The table {self.record.table} breaks its suite {self.suite.name}: "
            f'"{expected.name}", {expected.expectation}{column}, does not hold',
            value=outcome.found if public else None,
            limit=outcome.limit if public else None,
            next_step=f"{expected.reason} Mend the source, or change expectations/{self.suite.name}.json in review; "
            f"the rows are shown in {docs}",
        )


def check(name: str, table: pa.Table, suite: Suite, parameters: Mapping[str, Any]) -> Checked:
    """Hold `table` against `suite`.

    An expectation that cannot be evaluated, such as one on a missing column, counts as a table-level failure.

    Args:
        name: the table's name in the record.
        table: `(rows, columns)`, derived columns included.
        suite: what it must be.
        parameters: the values of this run by name; None means that there is none.

    Raises:
        Misconfigured: the suite refers to a parameter that is unknown or has no value.
    """
    resolved = [(expected, resolve(expected, parameters, suite.name)) for expected in suite.expectations]
    applied = [expectation for _, expectation in resolved if expectation is not None]
    outcomes, result = validate(suite.name, applied, table)

    failed = [
        (expected, outcomes[expected.name])
        for expected, expectation in resolved
        if expectation is not None and not outcomes[expected.name].passed
    ]
    broken = tuple(
        (expected, outcome) for expected, outcome in failed if expected.level == "table" or not outcome.evaluated
    )
    reasons = np.full(table.num_rows, None, dtype=object)
    for expected, outcome in reversed(failed):  # so that the first in the suite has the last word
        if expected.level == "row":
            reasons[outcome.rows] = expected.name
    return Checked(
        record=DataCheck(
            table=name,
            suite=suite.digest,
            passed=not broken,
            failed=tuple(expected.name for expected, _ in broken),
        ),
        suite=suite,
        reasons=pa.array(reasons, pa.string()),
        broken=broken,
        left_out=tuple(expected.name for expected, expectation in resolved if expectation is None),
        result=result,
    )

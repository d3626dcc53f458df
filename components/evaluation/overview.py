"""All services of a source on one page: quality between floor and ceiling, ε, verdicts, and what is left of the budget.

Everything on it is released: it is drawn from evidence. No script, nothing from a network, readable on paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from components.core.records import Evaluation, Interval, PrivacyStatement, Verdict

_PAGE = Path(__file__).with_name("overview.html")


@dataclass(frozen=True)
class Line:
    """One service: what its last gate said, and on what evidence.

    Attributes:
        service: its name.
        metric: the one that gates compare.
        floor: the candidate that gives everyone the same answer.
        verdict, evaluation, statement: of the last gate; None where it has not been trained here.
        ceilings: the metric of models without privacy, by name; of public sources alone.
    """

    service: str
    metric: str
    floor: str
    verdict: Verdict | None = None
    evaluation: Evaluation | None = None
    statement: PrivacyStatement | None = None
    ceilings: Mapping[str, float] | None = None

    @property
    def chosen(self) -> Interval | None:
        """The metric of the version that the verdict is about."""
        return self._metric(self.verdict.candidate) if self.verdict else None

    @property
    def base(self) -> Interval | None:
        """The metric of the floor."""
        return self._metric(self.floor)

    @property
    def ceiling(self) -> tuple[str, float] | None:
        """The best of the models without privacy."""
        return max(self.ceilings.items(), key=lambda found: found[1]) if self.ceilings else None

    @property
    def kept(self) -> float | None:
        """The metric as a share of the ceiling's."""
        return self.chosen.value / self.ceiling[1] if self.chosen and self.ceiling and self.ceiling[1] > 0 else None

    @property
    def outcome(self) -> str:
        """The verdict in a few words."""
        if self.verdict is None:
            return "not trained here"
        if not self.verdict.passed:
            return "refused: " + ", ".join(gate.gate for gate in self.verdict.gates if not gate.passed)
        return "passed" if self.verdict.personal else "passed as the floor"

    def _metric(self, candidate: str) -> Interval | None:
        return self.evaluation.metrics.get(candidate, {}).get(self.metric) if self.evaluation else None


@dataclass(frozen=True)
class Left:
    """What is left of one account, 0 to 1."""

    block: str
    split: str
    share: float


def body(source: str, lines: Sequence[Line], left: Sequence[Left]) -> dict[str, Any]:
    """Return the page's content, JSON-ready."""
    return {
        "source": source,
        "services": [
            {
                "service": line.service,
                "outcome": line.outcome,
                "candidate": line.verdict.candidate if line.verdict else None,
                "metric": line.metric,
                "value": line.chosen.model_dump(mode="json") if line.chosen else None,
                "floor": line.base.model_dump(mode="json") if line.base else None,
                "ceiling": dict([line.ceiling]) if line.ceiling else None,
                "kept": line.kept,
                "epsilon": line.statement.epsilon if line.statement else None,
                "delta": line.statement.delta if line.statement else None,
            }
            for line in lines
        ],
        "accounts": [{"block": one.block, "split": one.split, "left": one.share} for one in left],
    }


def cells(line: Line) -> list[str]:
    """Return a service's row of the table: service, verdict, candidate, ε, metric, floor, value, ceiling, kept."""
    return [
        line.service,
        line.outcome,
        line.verdict.candidate if line.verdict else "",
        f"{line.statement.epsilon:.3g}" if line.statement else "",
        line.metric,
        _interval(line.base),
        _interval(line.chosen),
        f"{line.ceiling[1]:.4f} ({line.ceiling[0]})" if line.ceiling else "",
        f"{line.kept:.0%}" if line.kept is not None else "",
    ]


HEADER = ("service", "verdict", "candidate", "ε", "metric", "floor", "released", "without privacy", "kept")


def as_html(source: str, lines: Sequence[Line], left: Sequence[Left]) -> str:
    """Return the page."""
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells(line)) + f"<td>{_bar(line)}</td></tr>"
        for line in lines
    )
    accounts = "".join(
        f'<span>{escape(one.block)}, {escape(one.split)}</span><div class="bar"><i style="width:{one.share:.1%}"></i>'
        f"</div><span>{one.share:.0%} left</span>"
        for one in left
    )
    return Template(_PAGE.read_text()).substitute(
        source=escape(source),
        head="".join(f"<th>{escape(name)}</th>" for name in (*HEADER, "from 0 to the most")),
        rows=rows,
        accounts=accounts or "<p>Nothing was charged yet.</p>",
    )


def _bar(line: Line) -> str:
    """Return the released value with its interval on a scale from 0, between the floor and the ceiling."""
    if line.chosen is None or line.base is None:
        return ""
    most = max(line.chosen.high, line.base.high, line.ceiling[1] if line.ceiling else 0.0)
    if most <= 0:
        return ""
    low, high = max(line.chosen.low, 0.0) / most, max(line.chosen.high, 0.0) / most
    marks = [("floor", line.base.value)] + ([("ceiling", line.ceiling[1])] if line.ceiling else [])
    ticks = "".join(
        f'<b class="{name}" style="left:{max(value, 0.0) / most:.2%}" title="{name} {value:.4f}"></b>'
        for name, value in marks
    )
    whole = max(line.chosen.value, 0.0) / most
    return (
        f'<div class="scale"><i style="width:{whole:.2%}"></i>'
        f'<u style="left:{low:.2%};width:{high - low:.2%}"></u>{ticks}</div>'
    )


def _interval(found: Interval | None) -> str:
    if found is None:
        return ""
    return (
        f"{found.value:.4f} ± {(found.high - found.low) / 2:.4f}" if found.low != found.high else f"{found.value:.4f}"
    )

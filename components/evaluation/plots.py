"""Plots of released figures, and the CSV that each is drawn from, for people and for `dvc plots`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from components.core.files import write_bytes
from components.core.records import Evaluation, Interval
from components.core.service import Service
from components.evaluation.report import Ceiling, metric_names, ordered

CHOSEN, OTHER, _CEILING, LIMIT = "#1b6ca8", "#7a7f87", "#b7791f", "#b3261e"
_COLUMNS = 4


@dataclass(frozen=True)
class Bar:
    """One figure of one model: a released one has bounds, a ceiling has none.

    `role` is floor, chosen, other or ceiling; a candidate and its ceiling may have one name.
    """

    model: str
    role: str
    metric: str
    value: float
    low: float
    high: float

    @property
    def label(self) -> str:
        """Name and role for a reader."""
        roles = {"floor": " (floor)", "chosen": " (chosen)", "ceiling": " (not private)"}
        return self.model + roles.get(self.role, "")


def bars(service: Service, evaluation: Evaluation, ceiling: Ceiling | None = None) -> list[Bar]:
    """Return every metric of every bundle, then of every ceiling."""
    found = []
    for name in ordered(evaluation.metrics, [*service.candidates, "champion"]):
        role = "floor" if name == service.floor.name else "chosen" if name == evaluation.chosen else "other"
        found += [
            Bar(name, role, metric, interval.value, interval.low, interval.high)
            for metric in metric_names(service, evaluation)
            if isinstance(interval := evaluation.metrics[name].get(metric), Interval)
        ]
    for name, figures in (ceiling or {}).items():
        found += [Bar(name, "ceiling", metric, value, value, value) for metric, value in figures.items()]
    return found


def plot_metrics(found: Sequence[Bar], out: Path) -> tuple[Path, Path]:
    """Draw one panel a metric, one line a model with its interval, to `out/metrics.png`; the same as `out/metrics.csv`.

    The floor's interval is a band through its panel, so that what lies clear of it is seen.
    """
    models = list(dict.fromkeys(bar.label for bar in found))
    metrics = list(dict.fromkeys(bar.metric for bar in found if bar.role != "ceiling"))
    columns = min(_COLUMNS, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    figure = Figure(figsize=(1.2 + 2.6 * columns, rows * (0.9 + 0.34 * len(models))), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for place, axis in enumerate(axes.flat):
        if place >= len(metrics):
            axis.set_axis_off()
            continue
        for bar in (bar for bar in found if bar.metric == metrics[place]):
            colour = {"chosen": CHOSEN, "ceiling": _CEILING}.get(bar.role, OTHER)
            y = models.index(bar.label)
            if bar.role == "floor":
                axis.axvspan(bar.low, bar.high, color=OTHER, alpha=0.15, linewidth=0)
            axis.plot([bar.low, bar.high], [y, y], color=colour, linewidth=2.5, solid_capstyle="butt")
            marker = "D" if bar.role == "ceiling" else "o"
            axis.plot([bar.value], [y], marker, color=colour, markersize=5)
        axis.set_title(metrics[place], fontsize=10, loc="left")
        axis.set_yticks(range(len(models)), models, fontsize=9)
        axis.set_ylim(len(models) - 0.5, -0.5)
        axis.locator_params(axis="x", nbins=4)
        tidy(axis)
    csv_path = write_csv(
        out / "metrics.csv",
        ["model", "role", "metric", "value", "low", "high"],
        [[bar.model, bar.role, bar.metric, bar.value, bar.low, bar.high] for bar in found],
    )
    return write_png(figure, out / "metrics.png"), csv_path


def plot_epsilon(steps: Sequence[tuple[int, float]], limit: float, out: Path) -> tuple[Path, Path]:
    """Draw ε after each of `steps` under its `limit` to `out/epsilon.png`; the same as `out/epsilon.csv`."""
    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    axis = figure.subplots()
    axis.plot([step for step, _ in steps], [epsilon for _, epsilon in steps], color=CHOSEN, linewidth=2)
    axis.axhline(limit, color=LIMIT, linewidth=1, linestyle="--")
    axis.annotate(f"limit {limit:g}", (0, limit), (4, 3), textcoords="offset points", color=LIMIT, fontsize=9)
    axis.set_xlabel("noisy steps", fontsize=9)
    axis.set_ylabel("ε spent", fontsize=9)
    axis.set_ylim(0, 1.15 * max([limit, *(epsilon for _, epsilon in steps)]))
    axis.set_xlim(left=0)
    tidy(axis)
    csv_path = write_csv(out / "epsilon.csv", ["step", "epsilon"], [[step, epsilon] for step, epsilon in steps])
    return write_png(figure, out / "epsilon.png"), csv_path


def tidy(axis: Axes) -> None:
    """Leave of the frame and the grid what is read."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="x", alpha=0.25)
    axis.tick_params(labelsize=9)


def write_png(figure: Figure, path: Path) -> Path:
    """Write `figure`; the same figure gives the same bytes."""
    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=130)
    return write_bytes(path, content.getvalue())


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> Path:
    """Write what a plot is drawn from."""
    content = io.StringIO()
    csv.writer(content, lineterminator="\n").writerows([header, *rows])
    return write_bytes(path, content.getvalue().encode())

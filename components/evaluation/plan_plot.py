"""The picture of a plan: quality kept against ε, with its range, above what DP popularity keeps."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from components.core.errors import Misconfigured
from components.core.files import write_bytes
from components.evaluation.planning import Answer
from components.evaluation.plots import CHOSEN, OTHER

_FORMATS = ("png", "svg", "pdf")


def draw(answer: Answer, path: Path) -> None:
    """Write the picture to `path`, in the format that its ending names.

    Raises:
        Misconfigured: the ending is none of png, svg and pdf.
    """
    kind = path.suffix.lstrip(".").lower()
    if kind not in _FORMATS:
        raise Misconfigured(
            "A picture's name ends in its format",
            value=path.name,
            limit=", ".join(_FORMATS),
            next_step="Say --plot plan.png, for example.",
        )
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    told = sorted([answer.asked, *answer.others], key=lambda at: at.epsilon)
    epsilons = [at.epsilon for at in told]
    for name, colour, ranges in (
        ("private training", CHOSEN, [at.kept for at in told]),
        ("DP popularity, the floor", OTHER, [at.floor for at in told]),
    ):
        axis.plot(epsilons, [one.expected for one in ranges], color=colour, marker="o", markersize=4, label=name)
        axis.fill_between(epsilons, [one.low for one in ranges], [one.high for one in ranges], color=colour, alpha=0.15)
    asked = answer.asked
    axis.annotate(
        f"{asked.kept.expected:.0%}",
        (asked.epsilon, asked.kept.expected),
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
    )
    axis.axhline(1, color="#3d434b", linestyle="--", linewidth=1)
    axis.set(xscale="log", xlabel="ε of the whole training", ylabel="quality kept", ylim=(0, 1.15))
    axis.set_title(f"{answer.users:,} users, {answer.items:,} items" + (", EXTRAPOLATED" if asked.extrapolated else ""))
    axis.set_xticks(epsilons, [f"{epsilon:g}" for epsilon in epsilons])
    axis.minorticks_off()
    axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axis.grid(axis="y", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, loc="lower right")
    held = io.BytesIO()
    figure.savefig(held, format=kind, dpi=120)
    write_bytes(path, held.getvalue())

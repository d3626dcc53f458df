"""The ROC curves of an attack, with and without privacy, and what the claim allows any attack."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from components.core.files import write_bytes
from components.evaluation.attack import Attack, Curve, most_true_positives

_PRIVATE, _EXPOSED, _BOUND, _CHANCE = "#1b6ca8", "#b7791f", "#b3261e", "#7a7f87"


def plot_attack(attack: Attack, out: Path) -> tuple[Path, Path]:
    """Draw both curves on logarithmic axes, where the few that are surely found show, to `out/attack.png`.

    The same figures go to `out/attack.csv`.
    """
    least = 2 / attack.targets
    grid = np.geomspace(least, 1, 200)
    figure = Figure(figsize=(5.2, 4.6), layout="constrained")
    axis = figure.subplots()
    bound = most_true_positives(grid, attack.epsilon, attack.delta)
    axis.fill_between(grid, bound, 1, color=_BOUND, alpha=0.08, linewidth=0)
    axis.plot(grid, bound, color=_BOUND, linewidth=1, linestyle="--", label=f"most at ε = {attack.epsilon:.3g}")
    axis.plot(grid, grid, color=_CHANCE, linewidth=1, linestyle=":", label="guessing")
    for one, colour, name in (
        (attack.exposed, _EXPOSED, "without noise"),
        (attack.private, _PRIVATE, f"{attack.candidate}, ε = {attack.epsilon:.3g}"),
    ):
        fpr, tpr = np.array(one.fpr), np.array(one.tpr)
        seen = fpr >= least
        axis.step(fpr[seen], tpr[seen], where="post", color=colour, linewidth=2, label=_label(name, one))
    axis.set(xscale="log", yscale="log", xlim=(least, 1), ylim=(least, 1.05))
    axis.set_xlabel("false positive rate: others taken for members", fontsize=9)
    axis.set_ylabel("true positive rate: members found", fontsize=9)
    axis.set_title(f"Membership inference on {attack.service}, {attack.targets} users", fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
    axis.tick_params(labelsize=9)
    axis.legend(fontsize=8, frameon=False, loc="lower right")
    FigureCanvasAgg(figure)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=130)
    return write_bytes(out / "attack.png", picture.getvalue()), write_bytes(out / "attack.csv", _csv(attack))


def _label(name: str, curve: Curve) -> str:
    return f"{name}: AUC {curve.auc.value:.3f}"


def _csv(attack: Attack) -> bytes:
    content = io.StringIO()
    rows = [
        [name, *point]
        for name, one in (("private", attack.private), ("exposed", attack.exposed))
        for point in zip(one.fpr, one.tpr, strict=True)
    ]
    csv.writer(content, lineterminator="\n").writerows([["model", "fpr", "tpr"], *rows])
    return content.getvalue().encode()

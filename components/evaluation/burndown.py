"""How the privacy budget burns down: what is left of each account after every release, as points, table and plot.

What is drawn is the share of an account that is left, in Rényi divergence at the account's own order: equal releases
take equal steps down, which ε does not do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from components.core.records import SPLITS
from components.evaluation.plots import CHOSEN, LIMIT, OTHER, tidy, write_csv, write_png
from components.evaluation.report import table
from components.privacy import accounting

if TYPE_CHECKING:
    from components.privacy.accounts import Account, Hold

MOST_LINES = 6
"""Accounts of a split that are drawn with their names, those with the least left; more could not be told apart."""
MOST_ROWS = 24
_COLOURS = (CHOSEN, "#b7791f", "#2f7d4f", "#7b4ea3", "#a03e5c", "#3d8f93")
_BAR = 20


@dataclass(frozen=True)
class Point:
    """One account after one release of its split.

    Attributes:
        block, split: the account.
        number: the how manieth charged release of the split it was; 0 is before the first.
        left: of the account, 0 to 1; what is held counts as gone.
        epsilon: spent and held, at the cap's δ by the filter.
        cap: of the account.
        mechanism, service: what was released, and for whom; "" before the first.
        held: whether it is still open.
    """

    block: str
    split: str
    number: int
    left: float
    epsilon: float
    cap: float
    mechanism: str = ""
    service: str = ""
    held: bool = False


def burn_down(accounts: Iterable[Account], holds: Sequence[Hold]) -> list[Point]:
    """Return the points of every account, in the order of the reservations; an account starts whole."""
    numbers, found = dict[str, int](), list[Point]()
    numbered = []
    for hold in holds:
        if hold.charged is not None:
            numbers[hold.release.split] = numbers.get(hold.release.split, 0) + 1
            numbered.append((numbers[hold.release.split], hold))
    for account in accounts:
        gone, cap, delta = 0.0, account.cap.epsilon, account.cap.delta
        mine = [(number, hold) for number, hold in numbered if hold.touches(account)]
        start = mine[0][0] - 1 if mine else 0
        found.append(Point(account.block, account.split, start, 1.0, 0.0, cap))
        for number, hold in mine:
            assert hold.charged is not None, "it was numbered because it is charged"
            gone += accounting.rdp(hold.charged, account.order)
            found.append(
                Point(
                    account.block,
                    account.split,
                    number,
                    1 - gone / account.rdp_cap,
                    accounting.rdp_epsilon(gone, account.order, delta),
                    cap,
                    hold.release.mechanism,
                    hold.release.service,
                    hold.open,
                )
            )
    return found


def burn_down_table(accounts: Sequence[Account]) -> str:
    """Return one row an account: what it may spend, what is gone, and a bar of what is left; "" where there is none."""
    if not accounts:
        return ""
    fullest = sorted(accounts, key=lambda account: account.rdp_left / account.rdp_cap)[:MOST_ROWS]
    shown = [account for account in accounts if account in fullest]
    rows = [
        [
            account.block,
            account.split,
            *(f"{figure:.3g}" for figure in (account.cap.epsilon, account.spent, account.held, account.left)),
            f"{account.rdp_left / account.rdp_cap:.0%}",
            f"`{_bar(account.rdp_left / account.rdp_cap)}`",
        ]
        for account in shown
    ]
    made = table(["block", "split", "cap ε", "spent ε", "held ε", "left ε", "account left", ""], rows)
    hidden = len(accounts) - len(shown)
    return made + (f"\n\nAnd {hidden} accounts of which more is left." if hidden else "")


def plot_burn_down(points: Sequence[Point], out: Path) -> tuple[Path, Path]:
    """Draw one panel a split, one line a block, to `out/burndown.png`; the same as `out/burndown.csv`.

    Each line ends in the name of its block, or of all blocks that were always read together, in what is left of it, and
    in ε; where there are many, the ones with the least left are named.
    """
    splits = [split for split in SPLITS if any(point.split == split for point in points)] or ["train"]
    figure = Figure(figsize=(7.6, 0.5 + 2.1 * len(splits)), layout="constrained")
    axes = figure.subplots(len(splits), 1, squeeze=False)
    for axis, split in zip(axes[:, 0], splits, strict=True):
        _panel(axis, split, [point for point in points if point.split == split])
    axes[-1, 0].set_xlabel("releases of the split, in order", fontsize=9)
    names = [field.name for field in fields(Point)]
    csv_path = write_csv(out / "burndown.csv", names, [astuple(point) for point in points])
    return write_png(figure, out / "burndown.png"), csv_path


def _panel(axis: Axes, split: str, points: Sequence[Point]) -> None:
    lines = _lines(points)
    last = max((point.number for point in points), default=1)
    newest_first = list(lines)[::-1]
    named = sorted(newest_first, key=lambda line: round(lines[line][-1].left, 6))[:MOST_LINES]
    for name, line in lines.items():
        colour = _COLOURS[named.index(name)] if name in named else OTHER
        x, y = [point.number for point in line], [100 * point.left for point in line]
        style: dict[str, Any] = {"linewidth": 1.8} if name in named else {"linewidth": 0.8, "alpha": 0.5}
        axis.step(x, y, where="post", color=colour, **style)
        axis.plot([x[-1], last], [y[-1], y[-1]], ":", color=colour, linewidth=0.8)  # to its name
        if line[-1].held:
            axis.plot([line[-1].number], [y[-1]], "o", color=colour, markersize=4, markerfacecolor="white")
    axis.axhline(0, color=LIMIT, linewidth=1.2)
    ends = _apart([100 * lines[name][-1].left for name in named], 12.0)
    for name, place, colour in zip(named, ends, _COLOURS, strict=False):
        end = lines[name][-1]
        text = f"{name}: {end.left:.0%}, ε {end.epsilon:.2g} of {end.cap:g}"
        at: dict[str, Any] = {"xytext": (6, 0), "textcoords": "offset points", "annotation_clip": False}
        axis.annotate(text, (last, place), color=colour, fontsize=8, va="center", **at)
    more = len(lines) - len(named)
    title = f"{split}: what is left of each account" + (f" ({more} more in grey)" if more else "")
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_ylim(-4, 104)
    axis.set_yticks([0, 50, 100], ["0%", "50%", "100%"])
    axis.set_xlim(0, last * 1.02)
    axis.locator_params(axis="x", integer=True)
    tidy(axis)


def _lines(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Return the points of each block by its name, in the order of the blocks; blocks that are alike are one line."""
    blocks = dict[str, list[Point]]()
    for point in sorted(points, key=lambda point: (point.block, point.number)):
        blocks.setdefault(point.block, []).append(point)
    alike = dict[object, list[str]]()
    for block, line in blocks.items():
        alike.setdefault(tuple((one.number, round(one.left, 9), one.cap) for one in line), []).append(block)
    return {_named(names): blocks[names[0]] for names in alike.values()}


def _named(blocks: Sequence[str]) -> str:
    return ", ".join(blocks) if len(blocks) < 3 else f"{blocks[0]} … {blocks[-1]} ({len(blocks)})"


def _apart(places: Sequence[float], least: float) -> list[float]:
    """Return ascending `places` moved so that `least` lies between each two, and none above 100."""
    moved = list[float]()
    for place in places:
        moved.append(max(place, moved[-1] + least) if moved else place)
    over = max(0.0, moved[-1] - 100) if moved else 0.0
    return [place - over for place in moved]


def _bar(left: float) -> str:
    full = round(max(0.0, min(1.0, left)) * _BAR)
    return "█" * full + "░" * (_BAR - full)

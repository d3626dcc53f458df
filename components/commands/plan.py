"""`jali plan`: how much quality will privacy cost us? From measured curves, before any data is touched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from components.evaluation.planning import Answer, Needed, Range

_WORDS = {"users": "number of users", "items": "number of items", "epsilon": "ε"}


@click.command()
@click.option("--users", required=True, type=int, help="Users of the whole shop.")
@click.option("--items", required=True, type=int, help="Items of the catalogue.")
@click.option("--epsilon", required=True, type=float, help="ε of the whole training.")
@click.option("--target", default=0.9, show_default=True, help="Share kept for which the users needed are told.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw quality against ε: .png or .svg.")
def plan(users: int, items: int, epsilon: float, target: float, as_json: bool, plot: Path | None) -> None:
    """Say how much of a recommender's quality a private training keeps, from measured curves, with its uncertainty.

    100% is what EASE reaches on the same users without privacy. The lower end of the range is the worst of the data
    sets that were measured. Nothing is read from your shop and nothing is charged.
    """
    from components.evaluation import planning
    from components.evaluation.curves import Curves

    curves = Curves.read()
    found = planning.answer(curves, users, items, epsilon, target=target)
    if plot:
        from components.evaluation.plan_plot import draw

        draw(found, plot)
    click.echo(found.model_dump_json(indent=1) if as_json else _text(found, list(curves.best)))


def _text(found: Answer, sources: list[str]) -> str:
    asked = found.asked
    lines = [
        f"A shop of {found.users:,} users and {found.items:,} items, trained at ε = {asked.epsilon:g}",
        f"  keeps              {_range(asked.kept)} of the quality without privacy",
        f"  DP popularity      {_range(asked.floor)}: the floor, the same answer for everyone",
        f"  for {found.needed.kept:.0%}, at this ε  {_needed(found.needed)}",
        "",
        "  ε        kept                  DP popularity",
        *(f"  {at.epsilon:<7g}  {_range(at.kept):<20}  {_range(at.floor)}" for at in found.others),
        "",
        f"Quality is {found.metric}.",
        f"Ranges reach over {found.confidence:.0%} of the trainings on {' and on '.join(sources)}; another kind of "
        "shop may lie outside.",
    ]
    others = [source for source in sources if source not in asked.within]
    if asked.within and others:
        lines.append(f"Measured on {' and '.join(asked.within)}; the curve of {' and '.join(others)} is extended.")
    if asked.extrapolated:
        names = " and ".join(_WORDS[what] for what in asked.extrapolated)
        lines.append(f"EXTRAPOLATED: the {names} lie outside of what was measured. Take the range for a guess.")
        lines += [f"  {name}: {_measured(ranges)}" for name, ranges in found.sources.items()]
    return "\n".join(lines)


def _range(found: Range) -> str:
    return f"{found.expected:.0%} ({found.low:.0%} to {found.high:.0%})"


def _needed(needed: Needed) -> str:
    middle, best, worst = (
        f"{_rounded(users)}" if users else f"more than {needed.most_measured:,}"
        for users in (needed.expected, needed.at_best, needed.at_worst)
    )
    if not needed.at_best:
        return f"{middle} users, on every data set: further was not measured"
    return f"{middle} users ({best} at best, {worst} at worst)"


def _rounded(users: int) -> str:
    digits = max(len(str(users)) - 2, 0)
    return f"{-(-users // 10**digits) * 10**digits:,}"  # up, to two digits: more is not known


def _measured(ranges: dict[str, tuple[float, float]]) -> str:
    spans = {what: f"{least:,.6g} to {most:,.6g}" for what, (least, most) in ranges.items()}
    return f"{spans['users']} users, {spans['items']} items, ε from {spans['epsilon']}"

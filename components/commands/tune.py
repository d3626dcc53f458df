"""`jali tune`: search for a service's parameters, and say what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from components.core import digest

if TYPE_CHECKING:
    from components.stages.tuning import Tuned


@click.command()
@click.argument("service", default="recommend")
@click.option("--source", help="A source of params.yaml; by default the one that it chooses.")
@click.option("--trials", type=click.FloatRange(1, 1000), help="How many; on people's rows, how many are expected.")
@click.option("--epsilon", type=click.FloatRange(0, 100, min_open=True), help="By default params.yaml's.")
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Begin no trial after so many; public only.")
@click.option("--json", "as_json", is_flag=True, help="The record as one line of canonical JSON.")
def tune(
    service: str, source: str | None, trials: float | None, epsilon: float | None, seconds: float | None, as_json: bool
) -> None:
    """Search for parameters of SERVICE on the dataset of a source. The Prefect server must be up (`jali up`).

    On a public source it is free. On people's rows the whole search is charged before it begins, a random number of
    trials of which only the best is told, and asked for again it costs nothing.
    """
    from flows.server import answering
    from flows.tune import tune as flow

    with answering():
        found = flow(service, source, epsilon, trials, seconds)
    click.echo(digest.canonical_json(found.body()).decode() if as_json else told(found))


def told(found: Tuned) -> str:
    """Return what a search found as lines for people, with what belongs into params.yaml."""
    if found.public:
        price = [f"{found.trials} trials on a public source: nothing was charged."]
    else:
        spent = [
            f"{split} users ε = {epsilon:g} at δ = {found.delta[split]:.3g} (order {found.order[split]})"
            for split, epsilon in found.epsilon.items()
        ]
        price = [
            f"Charged for the whole search, counts and floor included: {', '.join(spent)}.",
            f"By {found.accountant}; there is no tighter figure by PLD. How many trials there were is told to nobody.",
            "The accounts carry it beside every training; a version that is trained with these values states its own.",
        ]
    if not found.candidate:
        return "\n".join([*price, "No trial ended, so that there is nothing to change."])
    return "\n".join(
        [
            *price,
            f"Best: {found.candidate}, {found.metric} {found.score:.4f}{'' if found.public else ' (noised)'}",
            "",
            "services:",
            f"  {found.service}:",
            *_as_yaml(found),
        ]
    )


def _as_yaml(found: Tuned) -> list[str]:
    import yaml

    from components.core.grids import Choice

    tree = Choice(found.candidate, tuple(found.changes.items())).tree
    return [f"    {line}" for line in yaml.safe_dump(tree, sort_keys=False).splitlines()]

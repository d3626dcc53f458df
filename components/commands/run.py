"""`jali run`: a flow in this process, against the local Prefect server; what `jali up` schedules is the same code."""

from __future__ import annotations

from datetime import datetime
from typing import get_args

import click

from components.core.params import Block

_source = click.option("--source", help="A source of params.yaml; by default the one that it chooses.")
_service = click.option("--service", default="recommend", show_default=True)
_epsilon = click.option("--epsilon", type=click.FloatRange(0, 100, min_open=True), help="By default params.yaml's.")
_author = click.option("--author", default="scheduler", show_default=True, help="Whose key here signs the request.")
_when = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S"])


@click.group()
def run() -> None:
    """Run a flow here and now; the Prefect server must be up (`jali up`)."""


@run.command()
@_source
@click.option("--last", type=click.Choice(get_args(Block)), help="The window is the last whole one of these.")
@click.option("--start", type=_when, help="First moment of the window (UTC).")
@click.option("--end", type=_when, help="First moment after the window (UTC).")
def dataset(source: str | None, last: Block | None, start: datetime | None, end: datetime | None) -> None:
    """Collect, check, prepare and split."""
    from flows.dataset import dataset as flow
    from flows.server import answering

    with answering():
        made = flow(source=source, last=last, start=start, end=end)
    click.echo(f"dataset {made.digest_keyed[:12]} of {made.source}, blocks {', '.join(made.blocks)}")


@run.command()
@_service
@_source
@_epsilon
@_author
def train(service: str, source: str | None, epsilon: float | None, author: str) -> None:
    """Train all candidates and register the best that passes its gates."""
    from flows.server import answering
    from flows.train import train as flow

    with answering():
        version = flow(service, source, epsilon, author)
    click.echo(f"version {version} of {service} is the challenger")


@run.command()
@_source
@_service
@_epsilon
@_author
def pipeline(source: str | None, service: str, epsilon: float | None, author: str) -> None:
    """The whole way to a promotion request."""
    from flows.pipeline import pipeline as flow
    from flows.server import answering

    with answering():
        request = flow(source, service, epsilon, author)
    if request is None:
        click.echo(f"This training was done before, and its version is champion of {service}.")
    else:
        click.echo(
            f"request {request[:12]}: now somebody else runs `jali promote approve {service} --by NAME --reason …`"
        )

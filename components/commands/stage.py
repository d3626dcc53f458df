"""`jali stage`: what `dvc.yaml` calls."""

from __future__ import annotations

from pathlib import Path

import click

from components.core.progress import bar
from components.data.versioning import stage_in

_DATA = ("collect", "check", "prepare", "split")
_MODEL = ("train", "evaluate", "audit", "gate")


@click.command()
@click.argument("name", type=click.Choice([*_DATA, *_MODEL]))
@click.argument("service", required=False)
def stage(name: str, service: str | None) -> None:
    """Run one stage in the workspace that is the current folder."""
    from importlib import import_module

    from components.stages.run import Run

    with stage_in(Path.cwd()):
        run = Run.open(Path.cwd())
        if (name in _MODEL) != (service is not None):
            raise click.UsageError(f"{', '.join(_MODEL)} take a service: {', '.join(run.params.services)}; others none")
        room = import_module(f"components.stages.{name}")
        given = [service] if service else []
        with bar(f"{name} {service or run.params.source}") as progress:
            made = getattr(room, name)(run, *given, progress)
        if name == "gate":
            click.echo(room.sentence(made))

"""`jali stage`: what `dvc.yaml` calls."""

from __future__ import annotations

from pathlib import Path

import click

from components.core.errors import JaliError
from components.core.progress import bar
from components.data.versioning import tell_failure

_DATA = ("collect", "check", "prepare", "split")
_MODEL = ("train", "evaluate", "audit", "gate")


@click.command()
@click.argument("name", type=click.Choice([*_DATA, *_MODEL]))
@click.argument("service", required=False)
def stage(name: str, service: str | None) -> None:
    """Run one stage in the workspace that is the current folder."""
    from components.stages import data, model
    from components.stages.run import Run

    try:
        run = Run.open(Path.cwd())
        with bar(f"{name} {service or run.params.source}") as progress:
            if name in _DATA:
                getattr(data, name)(run, progress)
            elif service is None:
                raise click.UsageError(f"{name} needs a service: {', '.join(run.params.services)}")
            else:
                getattr(model, name)(run, service, progress)
    except JaliError as error:
        tell_failure(error)
        raise

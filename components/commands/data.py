"""`jali data`: the dataset of a version, bit for bit."""

from __future__ import annotations

from pathlib import Path

import click

from components.core import settings
from components.core.errors import Refused


@click.group()
def data() -> None:
    """Bring back the dataset that a version was trained on."""


@data.command()
@click.argument("version", type=click.IntRange(1))
@click.option("--service", default="recommend", show_default=True)
@click.option("--to", type=click.Path(path_type=Path), help="A new folder; by default var/restored/SERVICE-VERSION.")
def get(version: int, service: str, to: Path | None) -> None:
    """Restore the data of VERSION from the DVC cache or remote. It is the trusted zone: keep it there."""
    from components.data.versioning import bring_back
    from components.registry.models import data_of

    here = settings.load()
    outputs = data_of(here, service, version)
    if not outputs:
        raise Refused(
            f"Version {version} of {service} names no data",
            next_step="It was registered outside the flows; only those tag the DVC hashes.",
        )
    folder = bring_back(here.root, outputs, to or here.var / "restored" / f"{service}-{version}")
    for path, md5 in sorted(outputs.items()):
        click.echo(f"{md5}  {folder / path}")

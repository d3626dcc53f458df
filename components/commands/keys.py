"""`jali keys`: people's signing keys."""

from __future__ import annotations

import click

from components.core import settings


@click.group()
def keys() -> None:
    """Make and list people's signing keys (Ed25519). The private half never leaves this machine."""


@keys.command()
@click.argument("name")
@click.option("--add", is_flag=True, help="Write the public half into the reviewed file of identities.")
def new(name: str, add: bool) -> None:
    """Make a key for NAME and print the line for the reviewed file."""
    from components.registry import identities

    here = settings.load()
    public = identities.new_key(here.home, name)
    if add:
        identities.add(here.identities, name, public)
    click.echo(f"{name}: {public}")


@keys.command("list")
def list_keys() -> None:
    """List who may sign by the reviewed file, and whose private key lies on this machine."""
    from components.registry import identities

    here = settings.load()
    reviewed, local = identities.load(here.identities), identities.names(here.home)
    for name in sorted({*reviewed, *local}):
        public = identities.base64_of(reviewed[name]) if name in reviewed else identities.public_key(here.home, name)
        notes = ["key here"] * (name in local) + ["not in the reviewed file"] * (name not in reviewed)
        if name in reviewed and name in local and public != identities.public_key(here.home, name):
            notes = ["the key here is another one than the reviewed file's"]
        click.echo(f"{name}: {public}" + (f"  # {', '.join(notes)}" if notes else ""))

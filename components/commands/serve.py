"""`jali serve`."""

from __future__ import annotations

import click

from components.core import settings


@click.command()
def serve() -> None:
    """Answer requests with the approved champions, and follow them as they change (JALI_SERVING_PORT)."""
    from components.serving import server

    server.serve(settings.load(), announce=lambda url: click.echo(f"Serving on {url}: /readyz, /v1/models"))

"""`jali serve`."""

from __future__ import annotations

import os

import click

from components.core import settings


@click.command()
def serve() -> None:
    """Answer requests with the approved champions, and follow them as they change (JALI_SERVING_PORT)."""
    # Requests run in parallel, one a core; a BLAS with threads of its own on top slows all of them (4 times, with 16
    # clients on 2 cores). It reads this once, when it is imported.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from components.serving import server

    server.serve(settings.load(), announce=lambda url: click.echo(f"Serving on {url} (for people: {url}/docs)"))

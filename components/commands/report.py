"""`jali report`: what every service of a source came to, in the terminal or on one page."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.option("--source", help="A source of params.yaml; by default the one that it chooses.")
@click.option("--html", "page", type=click.Path(dir_okay=False, path_type=Path), help="Write one page here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
def report(source: str | None, page: Path | None, as_json: bool) -> None:
    """Show all services of a source: quality against floor and ceiling, ε, verdicts, and what is left of the budget."""
    from components.core.files import write_bytes
    from components.evaluation import overview
    from components.stages import overview as stage
    from components.stages.workspace import open_training

    run = open_training(source)
    lines, left = stage.lines(run), stage.left(run)
    if page is not None:
        write_bytes(page, overview.as_html(run.params.source, lines, left).encode())
    if as_json:
        click.echo(json.dumps(overview.body(run.params.source, lines, left), indent=1, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Services on {run.params.source}", title_justify="left")
    for name in overview.HEADER:
        table.add_column(name)
    for line in lines:
        table.add_row(*overview.cells(line))
    Console(width=max(Console().width, 140)).print(table)
    for one in left:
        click.echo(f"{one.block} {one.split}: {one.share:.0%} of the budget left")
    if page is not None:
        click.echo(str(page))

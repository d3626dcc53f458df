"""`jali statement`: what is promised about a version, for people and for programs."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from components.core import settings


@click.command()
@click.argument("version", required=False, metavar="SERVICE[@champion|@challenger|@N]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, by the schema that --schema prints.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write one static page to this file.")
@click.option("--schema", is_flag=True, help="Print the JSON Schema of --json, and read nothing else.")
def statement(version: str | None, as_json: bool, html: Path | None, schema: bool) -> None:
    """Print the privacy statement of a version, as recommend@champion.

    Its promise is the version's own evidence; what its blocks have spent by now is added where the ledger is at hand.
    """
    if schema:
        from components.privacy.statement_document import schema_text

        click.echo(schema_text(), nl=False)
        return
    if version is None:
        raise click.UsageError("Name a version, as recommend@champion.")
    from components.registry.statements import statement_of

    document = statement_of(settings.load(), version, now=datetime.now(UTC))
    if html:
        from components.core.files import write_bytes
        from components.privacy.statement_page import as_html

        write_bytes(html, as_html(document).encode())
    if as_json:
        click.echo(json.dumps(document.model_dump(mode="json"), indent=1, ensure_ascii=False))
    elif html:
        click.echo(f"{html}: privacy statement of version {document.version} of {document.service}")
    else:
        from components.privacy.statement_words import as_markdown

        click.echo(as_markdown(document), nl=False)

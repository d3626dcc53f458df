"""`jali ledger`: the privacy accounts, for the privacy officer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from components.core import params, settings


@click.group()
def ledger() -> None:
    """Show the privacy accounts."""


@ledger.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--releases", is_flag=True, help="Each release too: by which mechanism, for whom, at what cost.")
def show(as_json: bool, releases: bool) -> None:
    """Print cap, spent, held and left of every (block, split) account, as ε at the cap's δ by the RDP filter.

    ε does not grow evenly: the first release, however small, shows the conversion's constant. "used" is the part of the
    account that is gone, held included, and does.
    """
    from components.privacy.ledger import Ledger

    here = settings.load()
    book = Ledger.open(here.home, params.load(here.root / "params.yaml").privacy.cap)
    accounts = [_account(account) for account in book.accounts()]
    rows = [_release(hold) for hold in book.holds()]
    if as_json:
        partition = book.partition.model_dump(mode="json") if book.partition else None
        shown = {"genesis": book.genesis, "partition": partition, "accounts": accounts, "releases": rows}
        click.echo(json.dumps(shown, indent=1))
        return
    click.echo(f"ledger {book.genesis[:12]} in {_short(here.home)}; ε at the cap's δ, by an RDP filter")
    if book.partition:
        click.echo(f"fixed by its first release: {book.partition}")
    if not accounts:
        click.echo("Nothing was released yet.")
    _table(("block", "split", "cap", "spent", "held", "left", "used", "delta"), accounts)
    if releases:
        click.echo()
        _table(("mechanism", "service", "split", "blocks", "cost", "attempt", "state"), rows)


def _account(account: Any) -> dict[str, Any]:
    return {
        "block": account.block,
        "split": account.split,
        "cap": account.cap.epsilon,
        "delta": account.cap.delta,
        "spent": account.spent,
        "held": account.held,
        "left": account.left,
        "used": f"{1 - account.rdp_left / account.rdp_cap:.0%}",
    }


def _release(hold: Any) -> dict[str, Any]:
    release = hold.release
    event = release.event.model_dump()
    kind = event.pop("type")
    return {
        "mechanism": release.mechanism,
        "service": release.service,
        "split": release.split,
        "blocks": ", ".join(release.blocks),
        "cost": f"{kind} " + ", ".join(f"{name}={value:.4g}" for name, value in event.items()),
        "attempt": hold.attempt,
        "state": hold.stage,
    }


def _table(columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    cells = [
        [f"{row[name]:.4g}" if isinstance(row[name], float) else str(row[name]) for name in columns] for row in rows
    ]
    widths = [max(len(line[place]) for line in [list(columns), *cells]) for place in range(len(columns))]
    for line in [list(columns), *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _short(path: Path) -> str:
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)

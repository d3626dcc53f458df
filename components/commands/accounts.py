"""The ledger's figures as rows: the same for people and for programs, under keys that stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click


def of_account(account: Any, uses: Sequence[Any] = ()) -> dict[str, Any]:
    """Return one account with who spent what of it; shares are of the account, 0 to 1."""
    return {
        "block": account.block,
        "split": account.split,
        "cap": account.cap.epsilon,
        "delta": account.cap.delta,
        "spent": account.spent,
        "held": account.held,
        "left": account.left,
        "used": percent(1 - account.rdp_left / account.rdp_cap),
        "by": [
            {
                "service": use.service,
                "mechanism": use.mechanism,
                "releases": use.releases,
                "spent": use.spent,
                "held": use.held,
            }
            for use in uses
        ],
    }


def of_lifetime(lifetime: Any) -> dict[str, Any]:
    """Return the composition of one split over all blocks; `cap` and `left` are None where nothing bounds it."""
    account, bounded = lifetime.account, lifetime.bounded
    return {
        "split": account.split,
        "bounded": bounded,
        "in_force": lifetime.opened,
        "cap": account.cap.epsilon if bounded else None,
        "delta": account.cap.delta,
        "spent": account.spent,
        "held": account.held,
        "left": account.left if bounded else None,
    }


def of_hold(hold: Any) -> dict[str, Any]:
    """Return one attempt at a release."""
    release = hold.release
    return {
        "mechanism": release.mechanism,
        "service": release.service,
        "split": release.split,
        "blocks": ", ".join(release.blocks),
        "cost": cost(release.event),
        "attempt": hold.attempt,
        "state": hold.stage,
    }


def of_planned(planned: Any) -> dict[str, Any]:
    """Return one release that a training would make; `epsilon` is its own alone, at the split's δ, by PLD."""
    return {
        "purpose": planned.purpose,
        "mechanism": planned.mechanism,
        "split": planned.split,
        "cost": cost(planned.event),
        "event": planned.event.model_dump(mode="json"),
        "epsilon": planned.epsilon,
        "delta": planned.delta,
    }


def of_fit(fit: Any) -> dict[str, Any]:
    """Return one account, what a training takes of it, and how many more such trainings it carries."""
    account = fit.account
    return {
        "block": account.block,
        "split": account.split,
        "cap": account.cap.epsilon,
        "delta": account.cap.delta,
        "left": account.left,
        "used": percent(1 - account.rdp_left / account.rdp_cap),
        "one_training": fit.share,
        "by_filter": fit.by_filter,
        "by_pld": fit.by_pld,
    }


def cost(event: Any) -> str:
    """Return an event in one line."""
    shown = event.model_dump()
    kind = shown.pop("type")
    if kind == "best_of":  # its choices are as many as its grid has prices
        law = shown["trials"]
        shape = f", shape={law['shape']:.4g}" if law["law"] == "negative_binomial" else ""
        return f"{kind} {law['law']} expected={law['expected']:.4g}{shape}, choices={len(shown['choices'])}"
    return f"{kind} " + ", ".join(f"{name}={value:.4g}" for name, value in shown.items())


def percent(share: float) -> str:
    """Return a share as whole per cent, and what is less than one but not nothing as such."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"


def table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    """Print `rows` as a table of `columns`, nothing where there are none; None is a dash."""
    if not rows:
        return
    cells = [[_cell(row[name]) for name in columns] for row in rows]
    widths = [max(len(line[place]) for line in [list(columns), *cells]) for place in range(len(columns))]
    for line in [list(columns), *cells]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""`jali promote` and `jali rollback`: two people make a champion, one may put the last one back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

import click

from components.core import params, settings

_by = click.option("--by", required=True, help="The name of a key on this machine.")
_version = click.argument("version", type=click.IntRange(1))
_reason = click.option("--reason", required=True, help="Why; it is signed and kept.")
_here = click.option("--here", is_flag=True, help="Do it in this process and start no flow.")


@click.group()
def promote() -> None:
    """Ask for, approve, reject and follow promotions."""


@promote.command()
@click.argument("service")
@click.option("--version", type=click.IntRange(1), help="By default the challenger.")
@_by
def request(service: str, version: int | None, by: str) -> None:
    """Ask that a version of SERVICE become its champion."""
    from components.registry import promotion

    asked = promotion.request(settings.load(), service, by=by, now=_now(), version=version)
    click.echo(f"Asked for version {asked.version} of {service}, after champion {asked.previous_champion or 'none'}.")
    click.echo(f"A second person now runs: jali promote approve {service} {asked.version} --by NAME --reason TEXT")


@promote.command()
@click.argument("service")
@_version
@_by
@_reason
@click.option("--days", type=click.IntRange(1), help="How long it may be used; by default params.yaml's approval_days.")
@_here
def approve(service: str, version: int, by: str, reason: str, days: int | None, here: bool) -> None:
    """Approve the request for VERSION of SERVICE, and have it promoted."""
    decision_days = days or params.load(settings.load().root / "params.yaml").promotion.approval_days
    asked = _decide(service, version, "approve", by, reason, decision_days)
    if not here:
        from flows.start import start_promotion

        start_promotion(asked)
        click.echo(f"{by} approved it; the flow that promotes was started.")
        return
    from components.registry import promotion

    champion = promotion.promote(settings.load(), asked, now=_now())
    click.echo(f"{by} approved it; version {champion.version} is champion of {service}.")


@promote.command()
@click.argument("service")
@_version
@_by
@_reason
def reject(service: str, version: int, by: str, reason: str) -> None:
    """Reject the request for VERSION of SERVICE; another one may be made."""
    _decide(service, version, "reject", by, reason, 1)
    click.echo(f"{by} rejected it; nothing was promoted.")


@promote.command()
@click.argument("service")
def align(service: str) -> None:
    """Point MLflow's alias `champion` back to the version that was approved."""
    from components.registry import promotion

    champion = promotion.align(settings.load(), service)
    click.echo(f"champion of {service} points to version {champion.version}, approved by {champion.approver}.")


@promote.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON list, a service each.")
def status(as_json: bool) -> None:
    """Say who is champion, what waits for whom, and who moved what when."""
    import json

    from components.registry.status import status as standing

    here = settings.load()
    services = params.load(here.root / "params.yaml").services
    found = [standing(here, service, now=_now()) for service in services]
    if as_json:
        click.echo(json.dumps([one.model_dump(mode="json") for one in found], indent=1))
        return
    for one in found:
        champion = "none"
        if one.since:
            champion = f"version {one.champion} since {one.since:%Y-%m-%d %H:%M}, approved by {one.approver}"
        click.echo(f"{one.service}: champion {champion}; challenger {one.challenger or 'none'}")
        if one.alias != one.champion:
            click.echo(f"  MLflow's alias says {one.alias}, which nobody approved: jali promote align {one.service}")
        if one.request:
            click.echo(
                f"  version {one.request.version} was asked for by {one.request.requested_by}: {one.request.state}"
            )
        for move in one.moves:
            click.echo(f"  {move}")


@click.command()
@click.argument("service")
@_by
@click.option("--reason", default="no reason given", help="Why; it is signed and kept.")
def rollback(service: str, by: str, reason: str) -> None:
    """Put the previous champion of SERVICE back. It was approved once; one person is enough."""
    from components.registry import promotion

    champion = promotion.rollback(settings.load(), service, by=by, reason=reason, now=_now())
    click.echo(f"Version {champion.version} is champion of {service} again, approved by {champion.approver}.")


def _decide(service: str, version: int, outcome: Literal["approve", "reject"], by: str, reason: str, days: int) -> str:
    from components.registry import promotion

    decision = promotion.decide(
        settings.load(), service, version, outcome=outcome, by=by, reason=reason, now=_now(), days=days
    )
    return decision.request


def _now() -> datetime:
    return datetime.now(UTC)

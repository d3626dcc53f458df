"""`jali ledger`: the privacy accounts, for the privacy officer and for whoever plans the next training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from components.commands import accounts as rows
from components.core import params, settings
from components.core.errors import ContractBroken, Misconfigured
from components.core.params import Block

_NEW = "a new block"
_EXAMPLES = {"day": "2026-07-01", "week": "2026W27", "month": "2026-07", "quarter": "2026Q3", "year": "2026"}


@click.group()
def ledger() -> None:
    """Show the privacy accounts."""


@ledger.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--releases", is_flag=True, help="Each release too: by which mechanism, for whom, at what cost.")
def show(as_json: bool, releases: bool) -> None:
    """Print cap, spent, held and left of every (block, split) account, as ε at the cap's δ by the RDP filter.

    ε does not grow evenly: the first release, however small, shows the conversion's constant. "used" is the part of the
    account that is gone, held included, and does. Below it: by whom and for what, in parts of the account, and the
    composition over a user's whole life.
    """
    from components.privacy.accounts import LIFETIME
    from components.privacy.backends import without_password
    from components.privacy.ledger import Ledger
    from components.privacy.outlook import lifetimes, uses

    here = settings.load()
    privacy = params.load(here.root / "params.yaml").privacy
    book = Ledger.open(here.home, privacy.cap, privacy.lifetime_cap, url=here.ledger_url)
    accounts, holds = book.accounts(), book.holds()
    shown = [rows.of_account(account, uses(account, holds)) for account in accounts]
    whole = lifetimes(accounts, holds, cap=privacy.cap, lifetime_cap=privacy.lifetime_cap)
    done = [rows.of_hold(hold) for hold in holds]
    if as_json:
        partition = book.partition.model_dump(mode="json") if book.partition else None
        document = {"genesis": book.genesis, "partition": partition, "accounts": shown}
        _print({**document, "lifetime": list(map(rows.of_lifetime, whole)), "releases": done})
        return
    where = without_password(here.ledger_url) if here.ledger_url else _short(here.home)
    click.echo(f"ledger {book.genesis[:12]} in {where}; ε at the cap's δ, by an RDP filter")
    if book.partition:
        click.echo(f"fixed by its first release: {book.partition}")
    if not accounts:
        click.echo("Nothing was released yet.")
    mine = [account for account in shown if account["block"] != LIFETIME]
    rows.table(("block", "split", "cap", "spent", "held", "left", "used", "delta"), mine)
    if any(account.cap != privacy.cap for account in accounts if account.block != LIFETIME):
        click.echo(f"privacy.cap is ε = {privacy.cap.epsilon:g} now: of new accounts; one keeps the cap it opened with")
    _show_uses(mine)
    _show_lifetimes(whole)
    if releases:
        click.echo()
        rows.table(("mechanism", "service", "split", "blocks", "cost", "attempt", "state"), done)


@ledger.command()
@click.option("--anchor", "texts", multiple=True, help="A head noted elsewhere: 12:5e88…; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def verify(texts: tuple[str, ...], as_json: bool) -> None:
    """Read every row again and say whether any was changed, removed or moved, or the last ones cut off.

    The heads that versions and approvals carry are looked for in it, and those given by --anchor. Note the head that is
    printed elsewhere: rows that were cut off behind the last head that somebody kept cannot be missed.
    """
    from components.privacy.chain import Head
    from components.privacy.ledger import Ledger
    from components.registry.anchors import kept

    here = settings.load()
    noted = [Head.parse(text) for text in texts]
    book = Ledger.open(here.home, params.load(here.root / "params.yaml").privacy.cap, url=here.ledger_url)
    mine, others = kept(here, book.genesis)
    head = book.verify(*(one.anchor.head for one in mine), *noted)
    last = max(mine, key=lambda one: one.anchor.head.seq, default=None)
    if as_json:
        anchors = [{"where": one.where, "head": str(one.anchor.head)} for one in mine]
        elsewhere = [{"where": one.where, "genesis": one.anchor.genesis} for one in others]
        _print({"genesis": book.genesis, "head": str(head), "anchors": anchors, "of_other_ledgers": elsewhere})
        return
    click.echo(f"ledger {book.genesis[:12]}: {head.seq} rows, none was changed, removed or moved")
    click.echo(f"heads found again: {len(mine) + len(noted)}" + (f", the last on {last.where}" if last else ""))
    for one in others:
        click.echo(f"{one.where} was trained under another ledger, {one.anchor.genesis[:12]}")
    click.echo(f"head {head}")


@ledger.command()
@click.argument("url")
def move(url: str) -> None:
    """Move the ledger from JALI_HOME to the PostgreSQL database at URL: every row as it is, and no second budget.

    From then on JALI_LEDGER_URL must name it, on this machine and on each that shares it. Outputs stay where they are.
    """
    from components.privacy.moving import move as moved

    head = moved(settings.load().home, url)
    click.echo(f"{head.seq} rows were moved; the file is closed. Now set JALI_LEDGER_URL to that database.")


@ledger.command()
@click.argument("service", required=False)
@click.option("--source", help="The source whose dataset is trained on; by default that of params.yaml.")
@click.option("--epsilon", type=float, help="The training's ε; by default training.epsilon.")
@click.option("--delta", type=float, help="The most that δ may be; by default training.max_delta.")
@click.option(
    "--block", "blocks", multiple=True, help="A block it reads, more than once for several; else the dataset's."
)
@click.option("--users", type=int, help="Train users, a guess; else the lower bound of the last DP count.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def plan(
    service: str | None,
    source: str | None,
    epsilon: float | None,
    delta: float | None,
    blocks: tuple[str, ...],
    users: int | None,
    as_json: bool,
) -> None:
    """Say what one training of SERVICE (else of each) would cost, and how many more such trainings fit.

    Everything is counted that it would release: the counts, the floor, every candidate, both evaluations. It charges
    and reads nothing. "by the filter" is what the ledger will let in, however each training is chosen. "by PLD" is what
    would be within the cap had all been one schedule, fixed beforehand. What was done before costs nothing again, so
    the same training of the same rows takes less than is said here.
    """
    from components.stages.run import Run

    here = settings.load()
    tree = params.load(here.root / "params.yaml")
    training = {key: value for key, value in (("epsilon", epsilon), ("max_delta", delta)) if value is not None}
    chosen = tree.but(**({"source": source} if source else {}), training=training)
    run = Run(root=here.root, params=chosen, settings=here)
    for block in blocks:
        _require_block(block, chosen.privacy.block)
    asked, lacking = [], dict[str, str]()
    for name in [service] if service else chosen.services:
        try:
            asked.append(_planned(run, name, blocks, users))
        except ContractBroken as error:  # a public table that it needs is not there
            if service:
                raise
            lacking[name] = str(error)
    if as_json:
        _print({"genesis": run.ledger().genesis, "plans": asked, "cannot_be_planned": lacking})
        return
    for name, why in lacking.items():
        click.echo(f"{name} cannot be planned. {why}")
    for place, one in enumerate(asked):
        if place:
            click.echo()
        _show_plan(one)


def _planned(run: Any, name: str, blocks: tuple[str, ...], users: int | None) -> dict[str, Any]:
    from components.privacy import accounting
    from components.privacy.outlook import fits
    from components.stages import planned as stage

    known = stage.known_dataset(run)
    counted = stage.counted_before(known[0], name) if known and users is None else None
    guess = users if users is not None else round(1 / (10 * run.params.training.max_delta))
    people = counted or stage.Users.guessed(run, guess)
    read = blocks or (known[1].blocks if known else ())
    stage.require_caps_over(run, read)
    training, book = stage.planned(run, name, people), run.ledger()
    carried = fits(_accounts(run, read or (_NEW,)), training, book.holds())
    totals = []
    for split, some in ((one, [step for step in training if step.split == one]) for one in people.by_split):
        composed = accounting.epsilon_of([step.event for step in some], some[0].delta)
        totals.append({"split": split, "epsilon": composed, "delta": some[0].delta})
    return {
        "service": name,
        "source": run.params.source,
        "blocks": list(read),
        "users": dict(people.by_split),
        "users_are": people.source if counted or users is not None else "assumed",
        "releases": [rows.of_planned(step) for step in training],
        "totals": totals,
        "accounts": [rows.of_fit(one) for one in carried],
        "fits": {"by_filter": min(one.by_filter for one in carried), "by_pld": min(one.by_pld for one in carried)},
    }


def _accounts(run: Any, blocks: tuple[str, ...]) -> list[Any]:
    """Return the accounts that a training on `blocks` would charge: those that are open, and those that would be."""
    from components.core.records import SPLITS
    from components.privacy.accounts import LIFETIME, open_account
    from components.privacy.outlook import lifetimes

    book, privacy = run.ledger(), run.params.privacy
    accounts = book.accounts()
    known = {(account.block, account.split): account for account in accounts}
    found = [
        known.get((block, split)) or open_account(block, split, privacy.cap) for block in blocks for split in SPLITS
    ]
    whole = lifetimes(accounts, book.holds(), cap=privacy.cap, lifetime_cap=privacy.lifetime_cap)
    bounded = {one.account.split: one.account for one in whole if one.bounded}
    if privacy.lifetime_cap is not None:
        bounded = {split: open_account(LIFETIME, split, privacy.lifetime_cap) for split in SPLITS} | bounded
    return found + [bounded[split] for split in SPLITS if split in bounded]


def _show_uses(shown: list[dict[str, Any]]) -> None:
    used = [
        {**by, "block": account["block"], "split": account["split"]}
        | {key: rows.percent(by[key]) for key in ("spent", "held")}
        for account in shown
        for by in account["by"]
    ]
    if used:
        click.echo("\nby whom and for what, in parts of the account")
        rows.table(("block", "split", "service", "mechanism", "releases", "spent", "held"), used)


def _show_lifetimes(whole: list[Any]) -> None:
    if not whole:
        return
    click.echo("\nover a lifetime: every release of a split, for a user who is in all blocks")
    lines = [rows.of_lifetime(one) for one in whole]
    rows.table(
        ("split", "cap", "spent", "held", "left", "delta"),
        [{**line, "cap": line["cap"] if line["bounded"] else "unbounded"} for line in lines],
    )
    if not all(line["bounded"] for line in lines):
        click.echo("unbounded: privacy.lifetime_cap is not set, so that this is what was, and no promise of what comes")
    elif not all(line["in_force"] for line in lines):
        click.echo("privacy.lifetime_cap is in force from the next release on, with all that was before it counted")


def _show_plan(one: dict[str, Any]) -> None:
    where = ", ".join(one["blocks"]) or _NEW
    users = ", ".join(f"{split} {count:,}" for split, count in one["users"].items())
    click.echo(f"{one['service']} on {where} of {one['source']}; users {one['users_are']}: {users}")
    rows.table(("purpose", "mechanism", "split", "cost", "epsilon"), one["releases"])
    for total in one["totals"]:
        click.echo(f"together in {total['split']}: ε = {total['epsilon']:.3g} at δ = {total['delta']:.2g}, by PLD")
    click.echo()
    shares = [{**line, "one_training": rows.percent(line["one_training"])} for line in one["accounts"]]
    named = {"one_training": "one training", "by_filter": "more by the filter", "by_pld": "more by PLD"}
    lines = [{named.get(key, key): value for key, value in line.items()} for line in shares]
    rows.table(("block", "split", "cap", "left", "used", *named.values()), lines)
    click.echo(
        f"{one['fits']['by_filter']} more such trainings fit; had all been one schedule fixed beforehand, "
        f"{one['fits']['by_pld']} by PLD"
    )


def _require_block(name: str, block: Block) -> None:
    from components.data.blocks import is_name

    if not is_name(name, block):
        raise Misconfigured(
            "There is no such block",
            value=name,
            limit=f"privacy.block: {block}, as in {_EXAMPLES[block]}",
            next_step="Name a period as `jali ledger show` does; other names would be accounts of nobody.",
        )


def _print(document: dict[str, Any]) -> None:
    click.echo(json.dumps(document, indent=1, allow_nan=False))


def _short(path: Path) -> str:
    return f"~/{path.relative_to(Path.home())}" if path.is_relative_to(Path.home()) else str(path)

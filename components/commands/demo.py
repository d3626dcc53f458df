"""`jali demo`: the whole way on public data, and one table of what came of it."""

from __future__ import annotations

import json
import os
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from components.commands.machine import processes, start
from components.core import params, settings
from components.core.errors import Misconfigured
from components.core.progress import bar
from components.core.settings import Settings

if TYPE_CHECKING:
    from components.stages.run import Run

AUTHOR, APPROVER = "demo-author", "demo-approver"
SERVICE = "recommend"


@click.command()
@click.option("--source", help="ta-feng, shop, movielens-100k, or any public source of params.yaml.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
def demo(source: str | None, as_json: bool) -> None:
    """The whole way on public data, from collect to a served answer. A second run reuses all it can and spends no ε."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    here = settings.load()
    chosen = params.load(here.root / "params.yaml").but(**({"source": source} if source else {}))
    if not chosen.chosen_source.public:
        raise click.UsageError(
            f"{chosen.source} is a private source: two people promote what is trained on it, not a demo"
        )
    start(here, ("prefect", "mlflow"))
    _make_people(here)

    from components.stages import promotion, workspace
    from flows.deploy import deploy
    from flows.pipeline import pipeline
    from flows.server import answering

    started, before = datetime.now(UTC), _charges(here)
    with answering():
        request = pipeline(chosen.source, SERVICE, None, AUTHOR)
    if request is not None:
        _approve(here, request)
        start(here, ("serving",))
        with answering():
            deploy(request)
    else:
        start(here, ("serving",))
    with bar("Waiting for the first answer"):
        run = workspace.open_training(chosen.source)
        promotion.await_serving(SERVICE, _champion(here).version)
    outcome = _outcome(here, run, charged=_charges(here) - before, started=started)
    if as_json:
        click.echo(json.dumps(outcome, indent=1, ensure_ascii=False))
    else:
        _show(outcome)


def _make_people(here: Settings) -> None:
    """Make the two demonstration keys. Both lie on this machine: it shows the ceremony, it is not two people."""
    from components.registry import identities

    known = identities.load(here.identities) if here.identities.exists() else {}
    for name in (AUTHOR, APPROVER):
        if name not in identities.names(here.home):
            identities.new_key(here.home, name)
        public = identities.public_key(here.home, name)
        if name not in known:
            identities.add(here.identities, name, public)
        elif identities.base64_of(known[name]) != public:
            raise Misconfigured(
                f"{here.identities} lists {name} with another key than this machine's",
                next_step="Remove its line, which an earlier demonstration left, and run this again.",
            )


def _approve(here: Settings, request: str) -> None:
    from components.registry import promotion
    from components.registry.history import History

    history = History(here.home)
    if history.decision(request) is None:
        asked = history.request(request)
        days = params.load(here.root / "params.yaml").promotion.approval_days
        reason = "demonstration: the gates passed"
        assert asked is not None, "the flow has just recorded it"
        promotion.decide(
            here,
            asked.service,
            asked.version,
            outcome="approve",
            by=APPROVER,
            reason=reason,
            now=datetime.now(UTC),
            days=days,
        )


def _champion(here: Settings) -> Any:
    from components.registry.promotion import champion_of

    return champion_of(here, SERVICE)


def _charges(here: Settings) -> int:
    from components.privacy.ledger import Ledger

    book = Ledger.open(here.home, params.load(here.root / "params.yaml").privacy.cap, url=here.ledger_url)
    return sum(entry.verb == "settle" for entry in book.entries())


def _outcome(here: Settings, run: Run, *, charged: int, started: datetime) -> dict[str, Any]:
    from components.stages.dataset import dataset_of
    from components.stages.evaluate import ceilings_of, evaluation_of
    from components.stages.gate import statement_of, verdict_of
    from flows.times import step_seconds

    service, _ = run.service(SERVICE)
    champion, verdict = _champion(here), verdict_of(run, SERVICE)
    evaluation = evaluation_of(run, SERVICE, verdict.candidate)
    history = _ask(here, [], 3)["items"]
    return {
        "source": run.params.source,
        "steps": step_seconds(started),
        "data": dataset_of(run).digest_keyed,
        "statement": statement_of(run, SERVICE).body(),
        "charged": charged,
        "evaluation": evaluation.body(),
        "floor": service.floor.name,
        "metrics": [metric.name for metric in service.metrics],
        "ceilings": ceilings_of(run, SERVICE),
        "verdict": verdict.body(),
        "version": champion.version,
        "author": champion.author,
        "approver": champion.approver,
        "history": history,
        "answer": _ask(here, [item["item"] for item in history], 5),
        "pages": {name: process.page for name, process in processes(here).items() if process.page},
        "data docs": [str(page) for page in sorted(run.reports.glob("*/index.html"))],
    }


def _ask(here: Settings, history: list[str], k: int) -> dict[str, Any]:
    url = f"http://127.0.0.1:{here.serving_port}/v1/{SERVICE}"
    body = json.dumps({"history": history, "k": k}).encode()
    request = urllib.request.Request(url, data=body, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.load(answer))


def _show(outcome: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Jali on {outcome['source']}", show_header=False, title_justify="left")
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, content in _lines(outcome):
        table.add_row(name, content)
        table.add_section()
    Console(width=max(Console().width, 120)).print(table)


def _lines(outcome: dict[str, Any]) -> list[tuple[str, Any]]:
    verdict, answer, statement = outcome["verdict"], outcome["answer"], outcome["statement"]
    reused = "" if outcome["charged"] else ": what was done before was found again, and no ε was spent"
    kind = "it beat the floor" if verdict["personal"] else "the floor goes: no personal candidate passed"
    return [
        ("steps", "\n".join(f"{seconds:6.1f} s  {flow:8} {name}" for flow, name, seconds in outcome["steps"])),
        ("data digest", outcome["data"]),
        (
            "privacy",
            f"ε = {statement['epsilon']:.3g}, δ = {statement['delta']:.2g} for {statement['unit']}\n"
            f"{outcome['charged']} releases were charged in this run{reused}",
        ),
        ("quality", _quality(outcome)),
        ("verdict", f"{verdict['candidate']} passed every gate: {kind}"),
        (
            "version",
            f"{outcome['version']} of jali-{SERVICE}, author {outcome['author']}, approved by {outcome['approver']}\n"
            "Both keys lie on this machine: this shows the ceremony, it is not two people.",
        ),
        (
            "one answer",
            f"Somebody who has\n{_list(outcome['history'])}\nmay like\n{_list(answer['items'])}\n"
            f"(version {answer['model_version']}, ε = {answer['epsilon']:.3g})",
        ),
        ("pages", "\n".join(f"{name:8} {page}" for name, page in outcome["pages"].items())),
        ("data docs", "\n".join(outcome["data docs"])),
    ]


def _quality(outcome: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    released, ceilings = outcome["evaluation"]["metrics"], outcome["ceilings"]
    chosen, floor = outcome["verdict"]["candidate"], outcome["floor"]
    bundles = list(dict.fromkeys([floor, *released]))
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{outcome['evaluation']['confidence']:.0%} intervals")
    for name in bundles:
        table.add_column(f"{name} (floor)" if name == floor else name)
    for name in ceilings:
        table.add_column(f"{name}, no privacy")
    for metric in outcome["metrics"]:
        intervals = [released[name].get(metric) for name in bundles]
        cells = [_interval(one) if one else "" for one in intervals]
        table.add_row(
            metric, *cells, *(f"{found[metric]:.4f}" if metric in found else "" for found in ceilings.values())
        )
    gains = [
        f"{chosen} against {opponent}, paired, {outcome['metrics'][0]}: {_interval(gain, sign='+')}"
        for opponent, gain in outcome["evaluation"]["paired"].items()
        if "/" not in opponent
    ]
    return Group(table, *gains)


def _interval(found: dict[str, float], sign: str = "") -> str:
    if found["low"] == found["high"]:
        return f"{found['value']:{sign}.4f}"
    return f"{found['value']:{sign}.4f} ± {(found['high'] - found['low']) / 2:.4f}"


def _list(items: list[dict[str, Any]]) -> str:
    return "\n".join(f"  {_item(item)}" for item in items)


def _item(item: dict[str, Any]) -> str:
    name = item["title"] or item["item"]
    return f"{name} ({item['category']})" if item["category"] else name

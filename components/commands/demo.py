"""`jali demo`: the whole way on public data, and one table of what came of it."""

from __future__ import annotations

import json
import os
import urllib.parse
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from components.commands.machine import processes, start
from components.core import params, settings
from components.core.errors import GateNotMet, Misconfigured
from components.core.progress import bar
from components.core.settings import Settings

if TYPE_CHECKING:
    from components.core.service import Service
    from components.stages.run import Run

AUTHOR, APPROVER = "demo-author", "demo-approver"


@click.command()
@click.option("--source", help="ta-feng, shop, movielens-100k, or any public source of params.yaml.")
@click.option("--services", default="recommend", show_default=True, help="Names with commas between them, or all.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
def demo(source: str | None, services: str, as_json: bool) -> None:
    """The whole way on public data, from collect to a served answer. A second run reuses all it can and spends no ε."""
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "ERROR")
    here = settings.load()
    chosen = params.load(here.root / "params.yaml").but(**({"source": source} if source else {}))
    if not chosen.chosen_source.public:
        raise click.UsageError(
            f"{chosen.source} is a private source: two people promote what is trained on it, not a demo"
        )
    names = _named(services, chosen)
    start(here, ("prefect", "mlflow"))
    _make_people(here)

    from components.stages import promotion, workspace
    from flows.deploy import deploy
    from flows.pipeline import pipeline
    from flows.server import answering

    started, before = datetime.now(UTC), _charges(here)
    refused: dict[str, GateNotMet] = {}
    for name in names:
        try:
            with answering():
                request = pipeline(chosen.source, name, None, AUTHOR)
        except GateNotMet as verdict:  # of one service: the others go on
            refused[name] = verdict
            continue
        if request is not None:
            _approve(here, request)
        start(here, ("serving",))
        if request is not None:
            with answering():
                deploy(request)
    if not (names := [name for name in names if name not in refused]):
        raise next(iter(refused.values()))
    run = workspace.open_training(chosen.source)
    with bar("Waiting for the first answer"):
        for name in names:
            promotion.await_serving(name, _champion(here, name).version)
    outcome = _outcome(here, run, names, charged=_charges(here) - before, started=started)
    outcome["refused"] = {name: str(verdict) for name, verdict in refused.items()}
    if as_json:
        click.echo(json.dumps(outcome, indent=1, ensure_ascii=False))
    else:
        _show(outcome)
    if refused:
        raise SystemExit(GateNotMet.exit_code)


def _named(services: str, chosen: params.Params) -> list[str]:
    names = list(chosen.services) if services == "all" else [name.strip() for name in services.split(",")]
    if unknown := [name for name in names if name not in chosen.services]:
        raise click.UsageError(f"params.yaml has no service {unknown[0]}; there is {', '.join(chosen.services)}")
    return names


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


def _champion(here: Settings, name: str) -> Any:
    from components.registry.promotion import champion_of

    return champion_of(here, name)


def _charges(here: Settings) -> int:
    from components.privacy.ledger import Ledger

    book = Ledger.open(here.home, params.load(here.root / "params.yaml").privacy.cap, url=here.ledger_url)
    return sum(entry.verb == "settle" for entry in book.entries())


def _outcome(here: Settings, run: Run, names: list[str], *, charged: int, started: datetime) -> dict[str, Any]:
    from components.stages.dataset import dataset_of
    from flows.times import step_seconds

    return {
        "source": run.params.source,
        "steps": step_seconds(started),
        "data": dataset_of(run).digest_keyed,
        "charged": charged,
        "services": {name: _of_service(here, run, name) for name in names},
        "pages": {name: process.page for name, process in processes(here).items() if process.page},
        "data docs": [str(page) for page in sorted(run.reports.glob("*/index.html"))],
    }


def _of_service(here: Settings, run: Run, name: str) -> dict[str, Any]:
    from components.stages.evaluate import ceilings_of, evaluation_of
    from components.stages.gate import statement_of, verdict_of

    service, _ = run.service(name)
    champion, verdict = _champion(here, name), verdict_of(run, name)
    ask = partial(_ask, here, service)
    return {
        "statement": statement_of(run, name).body(),
        "evaluation": evaluation_of(run, name, verdict.candidate).body(),
        "floor": service.floor.name,
        "metrics": [metric.name for metric in service.figures],
        "ceilings": ceilings_of(run, name),
        "verdict": verdict.body(),
        "version": champion.version,
        "author": champion.author,
        "approver": champion.approver,
        "story": service.story(ask) if service.story else _plain(service.example, ask(service.example)),
    }


def _ask(here: Settings, service: Service, question: Mapping[str, Any]) -> dict[str, Any]:
    url = f"http://127.0.0.1:{here.serving_port}{service.path}"
    if service.method == "GET":
        request = urllib.request.Request(f"{url}?{urllib.parse.urlencode(question, doseq=True)}")
    else:
        body = json.dumps(question).encode()
        request = urllib.request.Request(url, data=body, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.load(answer))


def _plain(question: Mapping[str, Any], answer: Mapping[str, Any]) -> list[str]:
    told = json.dumps(answer, indent=1, ensure_ascii=False).splitlines()
    return [json.dumps(question, ensure_ascii=False), *told[:12], *(["…"] if len(told) > 12 else [])]


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
    reused = "" if outcome["charged"] else ": what was done before was found again, and no ε was spent"
    services = outcome["services"]
    return [
        ("steps", "\n".join(f"{seconds:6.1f} s  {flow:8} {name}" for flow, name, seconds in outcome["steps"])),
        ("data digest", outcome["data"]),
        ("budget", f"{outcome['charged']} releases were charged in this run{reused}"),
        *(line for name, found in services.items() for line in _lines_of(name, found, alone=len(services) == 1)),
        *((f"{name}: refused", verdict) for name, verdict in outcome["refused"].items()),
        ("pages", "\n".join(f"{name:8} {page}" for name, page in outcome["pages"].items())),
        ("data docs", "\n".join(outcome["data docs"])),
    ]


def _lines_of(name: str, found: dict[str, Any], alone: bool) -> list[tuple[str, Any]]:
    verdict, statement = found["verdict"], found["statement"]
    kind = "it beat the floor" if verdict["personal"] else "the floor goes: no personal candidate passed"
    title = "" if alone else f"{name}: "
    return [
        (
            f"{title}privacy",
            f"ε = {statement['epsilon']:.3g}, δ = {statement['delta']:.2g} for {statement['unit']}",
        ),
        (f"{title}quality", _quality(found)),
        (f"{title}verdict", f"{verdict['candidate']} passed every gate: {kind}"),
        (
            f"{title}version",
            f"{found['version']} of jali-{name}, author {found['author']}, approved by {found['approver']}\n"
            "Both keys lie on this machine: this shows the ceremony, it is not two people.",
        ),
        (f"{title}one answer", "\n".join(found["story"])),
    ]


def _quality(found: dict[str, Any]) -> Any:
    from rich.console import Group
    from rich.table import Table

    released, ceilings = found["evaluation"]["metrics"], found["ceilings"]
    chosen, floor = found["verdict"]["candidate"], found["floor"]
    bundles = list(dict.fromkeys([floor, *released]))
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{found['evaluation']['confidence']:.0%} intervals")
    for name in bundles:
        table.add_column(f"{name} (floor)" if name == floor else name)
    for name in ceilings:
        table.add_column(f"{name}, no privacy")
    for metric in found["metrics"]:
        intervals = [released[name].get(metric) for name in bundles]
        cells = [_interval(one) if one else "" for one in intervals]
        table.add_row(
            metric, *cells, *(f"{figures[metric]:.4f}" if metric in figures else "" for figures in ceilings.values())
        )
    gains = [
        f"{chosen} against {opponent}, paired, {found['metrics'][0]}: {_interval(gain, sign='+')}"
        for opponent, gain in found["evaluation"]["paired"].items()
        if "/" not in opponent
    ]
    return Group(table, *gains)


def _interval(found: dict[str, float], sign: str = "") -> str:
    if found["low"] == found["high"]:
        return f"{found['value']:{sign}.4f}"
    return f"{found['value']:{sign}.4f} ± {(found['high'] - found['low']) / 2:.4f}"

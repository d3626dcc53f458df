"""README and docs/ say what the code does: commands, figures, words and links are held against it."""

from __future__ import annotations

import csv
import re
import shlex
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean

import click
import pyarrow.parquet as pq
import pytest
import yaml

from components.cli import jali
from components.core import errors
from components.core.params import Source, Window
from components.data.collect import collect
from components.data.sources import open_source
from components.evaluation.gates import GATES
from components.privacy.statement import NOT_COVERED
from components.stages.planned import delta_for
from components.stages.rows import kept_within, left_after_count
from components.stages.run import Run

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

ORDERS = """customer,ordered_at,sku,pieces,price
c1,2026-03-02 09:15:00,rye,2,3.40
c1,2026-03-02 09:15:00,milk,1,1.19
c2,2026-03-03T18:00:00+01:00,rye,-1,3.40
c2,no time at all,milk,1,1.19
"""
CATALOGUE = """sku,name,path
rye,Rye bread,food/bread/rye
milk,Milk,food/dairy
"""


def _between(text: str, mark: str) -> str:
    return text.split(f"<!-- {mark} -->")[1].split(f"<!-- /{mark} -->")[0]


def _commands() -> list[str]:
    blocks = "\n".join(re.findall(r"^```\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S))
    indented = re.findall(r"^    (jali .*)$", (ROOT / "docs" / "guide.md").read_text(), re.M)
    return [*re.findall(r"^jali .*$", blocks, re.M), *indented]


def _window() -> Window:
    """The window that the README says to write for one's own events."""
    (told,) = re.findall(r"`(window: \{.*?\})`", (ROOT / "README.md").read_text())
    return Window.model_validate(yaml.safe_load(told)["window"])


def test_the_mapping_in_the_readme_collects_a_shop_s_own_files(tmp_path: Path) -> None:
    block = _between((ROOT / "README.md").read_text(), "mapping").replace("/srv/exports", str(tmp_path))
    tree = yaml.safe_load(block.split("```yaml")[1].split("```")[0])["mine"]
    (tmp_path / "orders-03.csv").write_text(ORDERS)
    (tmp_path / "catalogue.csv").write_text(CATALOGUE)
    source = Source.model_validate(tree)
    reader = open_source(source, tmp_path)
    now = datetime(2026, 4, 1, tzinfo=UTC)
    collected = collect(reader, source, _window(), "quarter", tmp_path / "home", tmp_path / "raw", now=now)
    events = pq.read_table(tmp_path / "raw" / "events.parquet").to_pylist()
    assert [(event["event"], event["item"], event["unit_price"]) for event in events] == [
        ("purchase", "rye", 340),
        ("purchase", "milk", 119),
        ("return", "rye", 340),
    ]
    assert events[0]["ts"] == datetime(2026, 3, 2, 8, 15, tzinfo=UTC)
    assert pq.read_table(tmp_path / "raw" / "quarantine.parquet")["reason"].to_pylist() == ["invalid timestamp"]
    items = pq.read_table(tmp_path / "raw" / "items.parquet")
    assert sorted(items["category"].to_pylist()) == ["food/bread/rye", "food/dairy"]
    assert not collected.public
    assert collected.blocks == ("2026Q1",)


def test_the_mapping_takes_ten_lines_or_fewer() -> None:
    block = _between((ROOT / "README.md").read_text(), "mapping")
    assert len(block.split("```yaml")[1].split("```")[0].strip().splitlines()) <= 10


@pytest.mark.parametrize("line", _commands())
def test_every_command_in_the_docs_is_one(line: str) -> None:
    name, *arguments = shlex.split(line, comments=True)
    command: click.Command = jali
    while isinstance(command, click.Group):
        name, *arguments = arguments
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"there is no {name}"
        command = found
    command.make_context(name, arguments)  # raises for an unknown or a missing option


def test_the_commands_of_the_docs_are_found() -> None:
    assert len(_commands()) > 8


def test_what_is_not_covered_is_told_in_the_words_of_the_statement() -> None:
    told = _between((ROOT / "docs" / "privacy.md").read_text(), "not covered")
    assert [line.removeprefix("- ") for line in told.strip().splitlines()] == list(NOT_COVERED)


def test_the_exit_codes_in_the_readme_are_those_of_the_errors() -> None:
    told = re.findall(r"^\| (\d+) \| `(\w+)` \|", (ROOT / "README.md").read_text(), re.M)
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.JaliError)]
    assert {(int(code), name) for code, name in told} == {
        (kind.exit_code, kind.__name__) for kind in kinds if kind is not errors.JaliError
    }


def test_the_deployments_in_the_readme_are_those_of_prefect_yaml() -> None:
    told = set(re.findall(r"^\| `(\w+/[\w-]+)` \|", (ROOT / "README.md").read_text(), re.M))
    tree = yaml.safe_load((ROOT / "prefect.yaml").read_text())
    assert told == {f"{one['entrypoint'].rpartition(':')[2]}/{one['name']}" for one in tree["deployments"]}


def test_the_gates_in_the_guide_are_those_that_judge() -> None:
    part = (ROOT / "docs" / "guide.md").read_text().split("| gate | passes if |")[1].split("\n\n")[0]
    told = [name for line in part.splitlines()[2:] for name in line.split("|")[1].strip().split(", ")]
    assert tuple(told) == GATES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text()):
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page
        assert linked.exists(), f"{target} does not exist"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", linked.read_text(), re.M)
            assert anchor in {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_decisions_are_numbered_without_a_gap() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))
    for name in names:
        text = (ROOT / "docs" / "decisions" / name).read_text()
        assert text.startswith(f"# {int(name[:4])}. ")
        assert [part for part in ("**Context.**", "**Decision.**", "**Consequences.**") if part not in text] == []


def test_the_quality_kept_in_the_readme_is_what_was_measured() -> None:
    kept = defaultdict(list)
    for row in csv.DictReader((ROOT / "docs" / "retention.csv").open()):
        kept[row["source"], row["candidate"], float(row["epsilon"])].append(float(row["kept"]))
    head, _, *lines = _between((ROOT / "README.md").read_text(), "retention").strip().split("\n\n")[0].splitlines()
    epsilons = [float(cell) for cell in head.strip("|").split("|")[1:]]
    cases = [(source, name) for source in ("ta-feng", "shop") for name in ("gram", "popularity")]
    for line, (source, name) in zip(lines, cases, strict=True):
        told = [cell.strip() for cell in line.strip("|").split("|")[1:]]
        assert told == [f"{mean(kept[source, name, epsilon]):.0%}" for epsilon in epsilons]


def test_the_division_of_the_budget_that_the_privacy_page_tells_is_that_of_the_code() -> None:
    run = Run.open(ROOT)
    service, _ = run.service("recommend")
    text = " ".join((ROOT / "docs" / "privacy.md").read_text().split())
    found = re.search(
        r"in a shop of ([\d,]+) items at ε = ([\d.]+) popularity has (.*?), and the Gram matrix the rest", text
    )
    assert found
    items, epsilon = int(found[1].replace(",", "")), float(found[2])
    cases = re.findall(r"(\d+)% with ([\d,]+)", found[3])
    assert len(cases) == 3
    for told, count in cases:
        users = int(count.replace(",", ""))
        mu = left_after_count(run, epsilon, kept_within(run, delta_for(run, users)))
        assert told == f"{100 * service.shares(mu, users, range(items))['popularity']:.0f}"
    assert list(service.candidates) == ["popularity", "gram"]

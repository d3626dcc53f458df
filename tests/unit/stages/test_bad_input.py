"""Bad input at the command line: one sentence, the exit code of its class, and nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from components.cli import main
from components.core.digest import of_path

CHECKOUT = Path(__file__).parents[3]
HEADER = "customer,when,what,sku,pieces,price\n"
ITEMS = "sku,name,group,price\n" + "".join(f"S{item},Thing {item},G{item % 3},1.50\n" for item in range(8))
SOURCE = {
    "kind": "files",
    "public": False,
    "events": {
        "path": "orders.csv",
        "currency": "EUR",
        "columns": {
            "user": "customer",
            "ts": "when",
            "event": "what",
            "item": "sku",
            "quantity": "pieces",
            "unit_price": "price",
        },
    },
    "items": {
        "path": "items.csv",
        "currency": "EUR",
        "columns": {"item": "sku", "title": "name", "category": "group", "price": "price"},
    },
}

Jali = Callable[..., tuple[int, str]]


def orders(users: int = 40, each: int = 3) -> str:
    """Good lines: every user takes `each` things, on days of their own."""
    return "".join(
        f"u{user},2024-03-{1 + user % 28:02d}T12:{taken:02d}:00Z,purchase,S{(user + taken) % 8},1,1.50\n"
        for user in range(users)
        for taken in range(each)
    )


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small shop's files, and a workspace whose parameters name them; it is the current folder."""
    (tmp_path / "items.csv").write_text(ITEMS)
    (tmp_path / "orders.csv").write_text(HEADER + orders())
    (tmp_path / "expectations").symlink_to(CHECKOUT / "expectations")
    tree = yaml.safe_load((CHECKOUT / "params.yaml").read_text())
    tree |= {"source": "files", "sources": {**tree["sources"], "files": SOURCE}}
    configure(tmp_path, {**tree, "window": {"start": "2024-01-01T00:00:00Z", "end": "2024-04-01T00:00:00Z"}})
    monkeypatch.setenv("JALI_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def jali(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Jali:
    """The command itself: words in, exit code and standard error out."""

    def call(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["jali", *words])
        code = 0
        try:
            main()
        except SystemExit as leave:
            code = int(leave.code or 0)
        return code, capsys.readouterr().err.strip()

    return call


def configure(folder: Path, tree: dict[str, object]) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(tree))


def params(folder: Path) -> dict[str, object]:
    tree: dict[str, object] = yaml.safe_load((folder / "params.yaml").read_text())
    return tree


def refused(answer: tuple[int, str], code: int, *words: str) -> None:
    """One line, no stack, with these words in it."""
    assert answer[0] == code, answer[1]
    assert len(answer[1].splitlines()) == 1, answer[1]
    for word in words:
        assert word in answer[1]


def table(path: Path) -> list[dict[str, object]]:
    return pq.read_table(path).to_pylist()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (HEADER.replace("sku", "article") + orders(), "lacks the column sku"),
        (HEADER + orders().replace("2024-03-", "March "), "ts in orders.csv holds no timestamps"),
        (HEADER + orders().replace(":00Z", ":00"), "set `timezone`"),
        (HEADER + orders().replace(",1,1.50", ",some,1.50"), "quantity in orders.csv holds no numbers"),
        (HEADER, "has no event"),
        ("", "header of orders.csv is broken"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_and_the_last_collection_stays(
    shop: Path, jali: Jali, content: str, said: str
) -> None:
    assert jali("stage", "collect") == (0, "")
    before = of_path(shop / "data" / "raw")
    (shop / "orders.csv").write_text(content)
    refused(jali("stage", "collect"), 21, "ContractBroken:", said)
    assert of_path(shop / "data" / "raw") == before
    assert sorted(path.name for path in (shop / "data").iterdir()) == ["raw"]


def test_an_empty_window_is_refused_with_its_bounds(shop: Path, jali: Jali) -> None:
    configure(shop, {**params(shop), "window": {"start": "1999-01-01T00:00:00Z", "end": "1999-02-01T00:00:00Z"}})
    refused(jali("stage", "collect"), 21, "no event between 1999-01-01", "found 0 events", "nothing was written")


@pytest.mark.parametrize("window", [{}, {"start": "2024-01-01"}, {"end": "2024-07-01"}])
def test_a_private_source_without_both_ends_of_a_window_is_misconfigured(
    shop: Path, jali: Jali, window: dict[str, str]
) -> None:
    configure(shop, {**params(shop), "window": window})
    refused(jali("stage", "collect"), 78, "window.start", "window.end", "params.yaml", "jali run dataset --start")


def test_an_unknown_key_is_named_with_the_allowed_ones(shop: Path, jali: Jali) -> None:
    configure(shop, {**params(shop), "prepare": {"max_items": 3}})
    refused(jali("stage", "prepare"), 78, "unknown key prepare.max_items", "max_items_per_user")


def test_an_unknown_key_of_a_service_is_named_too(shop: Path, jali: Jali) -> None:
    configure(shop, {**params(shop), "services": {"recommend": {"colums": 3}}})
    refused(jali("stage", "train", "recommend"), 78, "services.recommend", "colums", "columns")


@pytest.mark.parametrize("content", [b"source: [", b"- a\n", b"", b"\xff\xfe"])
def test_params_that_are_no_tree_are_refused(shop: Path, jali: Jali, content: bytes) -> None:
    (shop / "params.yaml").write_bytes(content)
    refused(jali("stage", "collect"), 78, "Misconfigured:", "params.yaml")


def test_a_folder_without_params_is_refused(tmp_path: Path, jali: Jali, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(jali("stage", "collect"), 78, "params.yaml")


def test_a_corrupt_cached_wheel_that_cannot_be_fetched_again_is_an_outage_and_stays(
    shop: Path, jali: Jali, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    wheel = shop / "home" / "wheels" / "recbole-1.2.1-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    wheel.write_bytes(b"PK half a wheel")
    configure(shop, {**params(shop), "source": "movielens-100k"})
    refused(jali("stage", "collect"), 75, "Unavailable:", "recbole==1.2.1", "by hand")
    assert wheel.exists()


@pytest.mark.parametrize("stage", ["check", "prepare", "split"])
def test_a_stage_whose_input_is_not_there_says_which_to_run(shop: Path, jali: Jali, stage: str) -> None:
    refused(jali("stage", stage), 21, "ContractBroken:", "is missing")


def test_a_model_stage_without_a_dataset_says_which_to_run(shop: Path, jali: Jali) -> None:
    refused(jali("stage", "train", "recommend"), 21, "dataset.json is missing", "Run the step that makes it")


def test_a_record_that_was_changed_by_hand_is_refused(shop: Path, jali: Jali) -> None:
    assert jali("stage", "collect")[0] == 0
    path = shop / "data" / "raw" / "collected.json"
    document = json.loads(path.read_text())
    document["body"]["public"] = True
    path.write_text(json.dumps(document))
    refused(jali("stage", "split"), 21, "collected.json was changed after it was written")


def test_the_shell_sees_the_exit_code_of_the_class(shop: Path) -> None:
    (shop / "orders.csv").write_text(HEADER)
    command = [sys.executable, "-m", "components.cli", "stage", "collect"]
    done = subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False)
    assert done.returncode == 21
    assert done.stderr.startswith("ContractBroken: ")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_every_bad_row_among_good_ones_is_kept_with_its_reason_on_the_way_to_prepared(shop: Path, jali: Jali) -> None:
    good, day = orders(), "2024-03-05T10:00:00Z"
    bad = {
        f"x1,{day},purchase,S1,1,1.50\n" * 2: "duplicate",
        "x2,2199-01-01T00:00:00Z,purchase,S1,1,1.50\n": "timestamp in the future",
        "x3,2024-03-05T10:00:00,purchase,S1,1,1.50\n": "timestamp without zone",
        f"x4,{day},purchase,NOPE,1,1.50\n": "unknown item",
        f"x5,{day},purchase,S1,lots,1.50\n": "unparsable number in quantity",
        f"x6,{day},dance,S1,1,1.50\n": "unknown event kind",
        f",{day},purchase,S1,1,1.50\n": "missing user",
    }
    returned = f"x7,{day},purchase,S2,-1,1.50\n"
    mixed = f"x8,{day},purchase,K".encode() + b"\xe4" + b"se,1,1.50\n"
    cut = b"x9,2024-03-05T10:0"
    (shop / "orders.csv").write_bytes((HEADER + good + "".join(bad) + returned).encode() + mixed + cut)
    for stage in ("collect", "check", "prepare"):
        assert jali("stage", stage) == (0, "")

    aside = [row for room in ("raw", "checked") for row in table(shop / "data" / room / "quarantine.parquet")]
    reasons = Counter(str(row["reason"]) for row in aside)
    assert reasons == Counter([*bad.values(), "decoding error", "truncated line"])
    kept = table(shop / "data" / "checked" / "events.parquet")
    assert len(kept) + len(aside) == good.count("\n") + len(bad) + 1 + 3  # a doubled line, a return, mixed, cut
    assert [row["event"] for row in kept].count("return") == 1


@pytest.mark.slow
def test_a_user_with_100000_events_contributes_as_many_items_as_the_limit(shop: Path, jali: Jali) -> None:
    configure(shop, {**params(shop), "prepare": {"max_items_per_user": 3}})
    busy = "".join(
        f"busy,2024-03-{1 + number % 28:02d}T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z,"
        f"purchase,S{number % 8},1,{1 + number // 28}.00\n"
        for number in range(100_000)
    )
    (shop / "orders.csv").write_text(HEADER + orders() + busy)
    for stage in ("collect", "check", "prepare"):
        assert jali("stage", stage) == (0, "")
    items = Counter(row["user"] for row in table(shop / "data" / "prepared" / "interactions.parquet"))
    assert max(items.values()) == 3
    assert len(items) == 41


@pytest.mark.slow
def test_a_file_that_was_loaded_twice_is_refused_and_its_rows_are_in_quarantine(shop: Path, jali: Jali) -> None:
    (shop / "orders.csv").write_text(HEADER + orders() * 2)
    assert jali("stage", "collect")[0] == 0
    refused(jali("stage", "check"), 21, "few duplicates")
    assert len(table(shop / "data" / "raw" / "events.parquet")) == 240
    assert not (shop / "data" / "checked" / "events.parquet").exists()
    assert len(table(shop / "data" / "checked" / "quarantine.parquet")) == 120

"""`dvc repro` in a clone of this checkout, on a small simulated shop: what runs, what does not, and what is spent."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from components.core.params import load
from components.core.records import Verdict
from components.privacy.ledger import Ledger

CHECKOUT = Path(__file__).parents[2]
COPIED = ("components", "expectations", ".dvc/config", ".dvc/.gitignore", ".dvc/plots", ".dvcignore", ".gitignore")
STAGES = ["collect", "check", "prepare", "split"] + [
    f"{name}@recommend" for name in ("train", "evaluate", "audit", "gate")
]
SMALL = {
    "source": "shop",
    "sources": {"shop": {"kind": "shop", "public": True, "users": 1500, "items": 120, "seed": 7}},
    "privacy": {"cap": {"epsilon": 100}},
}
SERVICES = {
    "recommend": {
        "candidates": ["popularity", "gram", "autoencoder"],
        "autoencoder": {"steps": 10, "ceiling_steps": 10},
    }
}
"""Instead of all that params.yaml lists: DVC goes the same way for each."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Clone:
    """A checkout of one's own, with a ledger of its own."""

    def __init__(self, root: Path) -> None:
        self.root, self.home = root, root.parent / "home"
        for name in (*COPIED, "dvc.yaml", "README.md"):
            source, target = CHECKOUT / name, root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, target)
        tree = load(CHECKOUT / "params.yaml").but(**SMALL)
        tree.model_copy(update={"services": SERVICES}).write(root / "params.yaml")
        self.run("git", "init", "-q")
        self.commit("start")

    def run(self, *command: str) -> str:
        """Run a command in the clone; return what it said on standard output."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("JALI_", "GIT_"))}
        own |= {
            "JALI_HOME": str(self.home),
            "JALI_ROOT": str(self.root),
            "PYTHONPATH": str(self.root),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{own['PATH']}",
            "DVC_SITE_CACHE_DIR": str(self.root.parent / "site"),
        }
        done = subprocess.run(command, cwd=self.root, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, message: str) -> None:
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", message)

    def repro(self) -> list[str]:
        """Reproduce; return the stages that ran."""
        self.said = self.run("dvc", "repro")
        return re.findall(r"^Running stage '([^']+)'", self.said, re.MULTILINE)

    def spent(self) -> str:
        """The head of the ledger: it moves with every entry."""
        privacy = load(self.root / "params.yaml").privacy
        return Ledger.open(self.home, privacy.cap, privacy.lifetime_cap).head.hash

    def change(self, **changes: object) -> None:
        path = self.root / "params.yaml"
        load(path).but(**changes).write(path)

    def verdict(self) -> Verdict:
        return Verdict.read(self.root / "evidence" / "recommend" / "gate" / "verdict.json")


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone whose first `dvc repro` went the whole way."""
    clone = Clone(tmp_path_factory.mktemp("dvc") / "clone")
    assert clone.repro() == STAGES
    clone.commit("reproduced")
    return clone


@pytest.fixture
def clone(reproduced: Clone) -> Iterator[Clone]:
    """The same, put back where it was when the test ends."""
    yield reproduced
    reproduced.run("git", "checkout", "-q", ".")
    reproduced.run("dvc", "checkout", "-q", "--force")


def test_a_clean_clone_ends_in_a_verdict_that_the_terminal_shows(clone: Clone) -> None:
    verdict = clone.verdict()
    assert verdict.gates
    assert re.search(r"^recommend/\w+ (passed every gate|did not pass).* \(.+\)\.$", clone.said, re.MULTILINE)


def test_git_sees_nothing_but_the_lock_that_dvc_wrote(clone: Clone) -> None:
    named = clone.run("git", "show", "--name-only", "--format=", "HEAD").split()
    assert named == ["dvc.lock"]
    assert clone.run("git", "status", "--porcelain") == ""


def test_a_second_run_runs_no_stage_and_spends_nothing(clone: Clone) -> None:
    before = clone.spent()
    assert clone.repro() == []
    assert clone.spent() == before


def test_code_and_texts_that_shape_no_output_rerun_nothing(clone: Clone) -> None:
    for name in ("README.md", "components/cli.py", "components/commands/stage.py", "components/serving/app.py"):
        with (clone.root / name).open("a") as file:
            file.write("\n# changed\n")
    assert clone.repro() == []


def test_a_changed_threshold_reruns_the_gate_alone(clone: Clone) -> None:
    before = clone.spent()
    clone.change(gates={"epsilon": 0.5})
    assert clone.repro() == ["gate@recommend"]
    assert not clone.verdict().passed
    assert "did not pass (epsilon" in clone.said
    assert clone.spent() == before


def test_a_changed_stage_reruns_itself_and_what_reads_its_outputs_and_spends_nothing(clone: Clone) -> None:
    before = clone.spent()
    with (clone.root / "components/stages/split.py").open("a") as file:
        file.write("\n# changed\n")
    assert clone.repro() == ["split"]  # it wrote the same bytes
    with (clone.root / "components/stages/evaluate.py").open("a") as file:
        file.write("\n# changed\n")
    ran = clone.repro()
    assert ran[0] == "evaluate@recommend"
    assert set(ran) <= {"evaluate@recommend", "gate@recommend"}
    assert clone.spent() == before


def test_a_changed_parameter_of_the_service_reruns_from_training_on_and_shows_in_the_diffs(clone: Clone) -> None:
    clone.change(services={"recommend": {"columns": 20}}, training={"epsilon": 1})
    assert clone.repro() == STAGES[4:]
    compared = json.loads(clone.run("dvc", "metrics", "diff", "--json"))["metrics/recommend.json"]
    assert {"epsilon", "ndcg@100.value", "ndcg@100.low", "gain over floor.low"} <= set(compared)
    assert compared["epsilon"]["diff"] < -1.5

    clone.run("dvc", "plots", "diff", "--out", "compared")
    page = (clone.root / "compared" / "index.html").read_text()
    for name in ("metrics.csv", "epsilon.csv", "burndown.csv", "metrics.png", "epsilon.png", "burndown.png"):
        assert f"plots/recommend/{name}".replace("/", "_").replace(".", "_") in page.replace("/", "_").replace(".", "_")
    assert '"rev": "HEAD"' in page
    assert '"rev": "workspace"' in page
    shutil.rmtree(clone.root / "compared")


def test_the_default_remote_takes_the_data_and_gives_it_back_to_an_emptied_clone(clone: Clone) -> None:
    raw = (clone.root / "data" / "raw" / "events.parquet").read_bytes()
    clone.run("dvc", "push", "-q")
    shutil.rmtree(clone.root / "data")
    shutil.rmtree(clone.root / ".dvc" / "cache")
    clone.run("dvc", "pull", "-q")
    assert (clone.root / "data" / "raw" / "events.parquet").read_bytes() == raw
    assert clone.repro() == []


def test_the_lock_names_every_stage_once(clone: Clone) -> None:
    assert list(yaml.safe_load((clone.root / "dvc.lock").read_text())["stages"]) == STAGES

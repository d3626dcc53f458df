"""dvc.yaml says of every stage which code shapes what it writes: not less, and not more."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from components.core.params import Params, Section, load
from tests.architecture.source import ROOT, product, reach, tree

PARAMS = load(ROOT / "params.yaml")
SERVICE = "recommend"
STAGES = {
    name: stage.get("do", stage) for name, stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].items()
}
WITH_SERVICE = ("train", "evaluate", "audit")
"""Stages that compute with the service's code; gate only measures how long it takes."""

CARRIES = [
    "components/core/errors.py",
    "components/core/files.py",
    "components/core/params.py",  # params.yaml says every key, so that no default is in force: see below
    "components/core/private.py",
    "components/core/progress.py",
    "components/core/service.py",
    "components/core/settings.py",
    "components/privacy/backends.py",
    "components/privacy/holding.py",
    "components/privacy/ledger.py",  # it charges, and returns what was settled
    "components/privacy/opened.py",
    "components/registry",  # says who is champion, which is no file of the workspace
    "components/stages/run.py",
]
"""Code that carries what a stage writes without shaping it. What it imports in turn is not looked at."""

AT_COLLECT = ["components/core/digest.py", "components/core/evidence.py"]
"""Named at collect alone: where the form of records changes, collect's changes, and so all that follows."""

READS = {
    "collect": ["components/data/backend.py"],  # the schema of a source in SQL
    "split": [
        *("components/data/collect.py", "components/data/pseudonym.py"),  # a record and a key of data/raw
        "components/stages/planned.py",  # decides once for a window; the ledger keeps which blocks it is of
    ],
    "prepare": [
        *("components/data/collect.py", "components/data/pseudonym.py"),
        "components/stages/planned.py",
    ],
    "train": [
        *("components/data/backend.py", "components/data/pseudonym.py", "components/data/tables.py"),
        "components/evaluation",
    ],
    "evaluate": ["components/data/backend.py", "components/data/pseudonym.py", "components/data/tables.py"],
    "audit": [  # what brings the simulated shop as it is
        *("components/data/backend.py", "components/data/blocks.py", "components/data/collect.py"),
        *("components/data/sources", "components/data/tables.py"),
    ],
    "gate": [  # what evaluated, where gate only reads the evaluation
        *("components/evaluation/intervals.py", "components/evaluation/metrics.py", "components/evaluation/moments.py"),
        *("components/evaluation/plots.py", "components/privacy/mechanisms.py", "components/privacy/release.py"),
        "components/stages/rows.py",
    ],
}
"""What a stage imports for a name, for a record's type, or from rooms that an earlier stage has used for it."""


DECIDES_ONCE = {stage: {"training.epsilon", "training.max_delta"} for stage in ("prepare", "split")}
"""Parameters that shape what a stage decides once for a window, and the ledger keeps: whether a block still carries the
next training. Another ε later makes no other dataset of that window, so DVC has nothing to make again. After a refusal
nothing was kept, and the next `dvc repro` asks again by itself: a stage that failed has no output."""


def _parameters(path: Path) -> set[str]:
    """The keys of params.yaml that a module of the stages reads, as `run.params.<section>.<key>`."""
    chains = [ast.unparse(node).split(".") for node in ast.walk(tree(path)) if isinstance(node, ast.Attribute)]
    keys = {tuple(chain[2:4]) for chain in chains if chain[:2] == ["run", "params"] and len(chain) > 3}
    fields = {key for key in keys if key[1] in type(getattr(PARAMS, key[0])).model_fields}
    return {".".join(key).replace("chosen_source", "sources") for key in fields}


def _within(path: Path, rooms: list[str]) -> bool:
    return any(path == Path(room) or Path(room) in path.parents for room in rooms)


def _code(stage: str) -> list[str]:
    named = [dep.replace("${key}", SERVICE) for dep in STAGES[stage]["deps"]]
    return [dep for dep in named if dep.startswith("components/")]


def _reach(stage: str, without: list[str]) -> set[Path]:
    starts = [Path(f"components/stages/{stage}.py")]
    if stage in WITH_SERVICE:
        starts += [path for path in product() if _within(path, [f"components/services/{SERVICE}"])]
    return reach(starts, lambda path: _within(path, without))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_the_code_that_shapes_it(stage: str) -> None:
    carried = CARRIES + READS.get(stage, []) + ([] if stage == "collect" else AT_COLLECT)
    missing = [str(path) for path in _reach(stage, carried) if not _within(path, _code(stage))]
    assert sorted(missing) == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_code_that_it_does_not_run(stage: str) -> None:
    reached = _reach(stage, CARRIES)
    service = f"components/services/{SERVICE}"
    assert [dep for dep in _code(stage) if dep != service and not any(_within(path, [dep]) for path in reached)] == []


@pytest.mark.parametrize("stage", STAGES)
def test_everything_that_a_stage_depends_on_is_there_or_made_by_a_stage(stage: str) -> None:
    made = [Path(out) for one in STAGES.values() for out in one["outs"]]
    for dep in map(Path, STAGES[stage]["deps"]):
        known = Path(str(dep).replace("${key}", SERVICE))
        assert (ROOT / known).exists() or any(dep == out or out in dep.parents for out in made), dep


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_every_parameter_that_it_reads(stage: str) -> None:
    named = [key.replace("${key}", SERVICE) for key in STAGES[stage]["params"]]
    helpers = [path for path in _reach(stage, CARRIES + READS.get(stage, [])) if path.stem not in STAGES]
    rooms = [Path(f"components/stages/{stage}.py"), *(path for path in helpers if _within(path, ["components/stages"]))]
    read = {key for path in rooms for key in _parameters(path)} - DECIDES_ONCE.get(stage, set())
    assert {key for key in read if not any(key == one or key.startswith(f"{one}.") for one in named)} == set()


def test_params_yaml_says_every_key_so_that_no_default_in_the_code_is_in_force() -> None:
    written = yaml.safe_load((ROOT / "params.yaml").read_text())
    assert set(written) == set(Params.model_fields)
    for name, section in PARAMS:
        if isinstance(section, Section) and name not in ("sources", "services"):
            assert set(written[name]) == set(type(section).model_fields), name

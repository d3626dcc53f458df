"""DVC behind one adapter: on a pipeline of two toy stages, in a workspace of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from components.core.digest import of_path
from components.core.errors import ContractBroken, GateNotMet, Misconfigured, Unavailable
from components.core.params import Params, load
from components.data.turns import turn
from components.data.versioning import bring_back, hashes, open_workspace, reproduce, stage_in

CHECKOUT = Path(__file__).parents[3]
PARAMS = load(CHECKOUT / "params.yaml")

PIPELINE = """
stages:
  first:
    cmd: python components/toy.py first
    deps: [components/toy.py]
    params: [source]
    outs: [data/first]
  second:
    cmd: python components/toy.py second
    deps: [data/first]
    outs: [data/second]
"""
TOY = """
import os, sys, time
from pathlib import Path
from components.core.errors import GateNotMet
from components.data.versioning import stage_in

name = sys.argv[1]
with Path(os.environ["TOY_LOG"]).open("a") as ran:
    ran.write(name + "\\n")
with stage_in(Path.cwd()):
    time.sleep(float(os.environ.get(f"TOY_SLEEP_{name}", 0)))
    if os.environ.get("TOY_REFUSES") == name:
        raise GateNotMet("The toy refused", value=3, limit="at most 2", next_step="Ask for less.")
    if os.environ.get("TOY_CRASHES") == name:
        raise ZeroDivisionError
    out = Path("data") / name
    out.mkdir(parents=True)
    (out / "made.bin").write_bytes(name.encode() * 1000)
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with the toy pipeline and a remote beside its workspaces."""
    root = tmp_path / "checkout"
    for folder in ("components", "expectations", ".dvc"):
        (root / folder).mkdir(parents=True)
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "components" / "toy.py").write_text(TOY)
    shutil.copy(CHECKOUT / ".dvc" / "config", root / ".dvc" / "config")
    monkeypatch.setenv("TOY_LOG", str(tmp_path / "ran"))
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT))
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    return root


@pytest.fixture
def workspace(root: Path, tmp_path: Path) -> Path:
    return opened(root, tmp_path)


def opened(root: Path, tmp_path: Path, params: Params = PARAMS) -> Path:
    return open_workspace(root, tmp_path / "workspace", params)


def ran(tmp_path: Path) -> list[str]:
    """The stages that ran, in their order."""
    log = tmp_path / "ran"
    return log.read_text().split() if log.exists() else []


def elsewhere(workspace: Path) -> subprocess.Popen[bytes]:
    """The same reproduction, begun by another process."""
    call = f"from components.data.versioning import *; reproduce(Path({str(workspace)!r}), 'second', stages=2)"
    return subprocess.Popen([sys.executable, "-c", call], start_new_session=True)


def await_stage(tmp_path: Path, name: str) -> None:
    while name not in ran(tmp_path):
        time.sleep(0.05)


def test_a_second_run_does_nothing_and_says_the_same_hashes(root: Path, workspace: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    made = reproduce(workspace, "second", stages=2, progress=lambda done, total=None: seen.append((done, total)))
    assert set(made) == {"data/first", "data/second"}
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert ran(tmp_path) == ["first", "second"]

    assert reproduce(opened(root, tmp_path), "second", stages=2) == made == hashes(workspace)
    assert ran(tmp_path) == ["first", "second"]


def test_a_changed_parameter_reruns_what_depends_on_it(root: Path, workspace: Path, tmp_path: Path) -> None:
    reproduce(workspace, "second", stages=2)
    reproduce(opened(root, tmp_path, PARAMS.but(source="ta-feng")), "second", stages=2)
    assert ran(tmp_path) == ["first", "second", "first"]  # it wrote the same, so the second has nothing to do


def test_a_stage_that_refuses_is_refused_here_with_its_own_class_and_sentence(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOY_REFUSES", "second")
    with pytest.raises(GateNotMet) as refused:
        reproduce(workspace, "second", stages=2)
    assert str(refused.value) == "The toy refused (found 3, limit at most 2). Ask for less."

    monkeypatch.delenv("TOY_REFUSES")
    reproduce(workspace, "second", stages=2)
    assert ran(tmp_path) == ["first", "second", "second"]


def test_a_stage_that_crashes_is_an_outage_that_names_the_stage_and_the_log(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_CRASHES", "first")
    with pytest.raises(Unavailable, match=r"failed to reproduce 'first'.*repro\.log"):
        reproduce(workspace, "second", stages=2)
    assert "ZeroDivisionError" in (workspace / ".dvc" / "tmp" / "repro.log").read_text()


def test_the_next_run_waits_for_a_dvc_whose_caller_was_killed(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOY_SLEEP_first", "3")
    killed = elsewhere(workspace)
    await_stage(tmp_path, "first")
    killed.kill()
    killed.wait()
    assert not (workspace / "data" / "first" / "made.bin").exists()
    reproduce(workspace, "second", stages=2)
    assert ran(tmp_path) == ["first", "second"]


def test_a_run_that_was_killed_with_all_its_children_is_done_again(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOY_SLEEP_first", "60")
    killed = elsewhere(workspace)
    await_stage(tmp_path, "first")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    monkeypatch.delenv("TOY_SLEEP_first")
    assert set(reproduce(workspace, "second", stages=2)) == {"data/first", "data/second"}
    assert ran(tmp_path) == ["first", "first", "second"]


def test_a_lock_in_the_name_of_another_living_process_stops_nobody(workspace: Path) -> None:
    held = {"write": {str(workspace / "data" / "first"): {"pid": os.getpid(), "cmd": "dvc repro"}}, "read": {}}
    (workspace / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(held))
    assert set(reproduce(workspace, "second", stages=2)) == {"data/first", "data/second"}


@pytest.mark.parametrize("content", [b"{{{", b"schema: '2.0'\nstages: []\n"])
def test_a_corrupt_dvc_lock_is_written_anew_without_running_a_stage(
    workspace: Path, tmp_path: Path, content: bytes
) -> None:
    made = reproduce(workspace, "second", stages=2)
    (workspace / "dvc.lock").write_bytes(content)
    with pytest.raises(ContractBroken, match=r"dvc\.lock does not say which data this is"):
        hashes(workspace)
    assert reproduce(workspace, "second", stages=2) == made
    assert ran(tmp_path) == ["first", "second"]


def test_two_runs_at_once_wait_for_each_other(workspace: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as both:
        found = list(both.map(lambda _: reproduce(workspace, "second", stages=2), range(2)))
    assert found[0] == found[1]
    assert ran(tmp_path) == ["first", "second"]


def test_who_waits_too_long_is_told_for_what(tmp_path: Path) -> None:
    with (
        turn(tmp_path, "repro"),
        pytest.raises(Unavailable, match=r"Another run works in .*still after 0\.2 s"),
        turn(tmp_path, "repro", patience=0.2),
    ):
        pass


def test_a_stage_outside_dvc_leaves_no_trace_of_its_failure(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured), stage_in(tmp_path):
        raise Misconfigured("The toy is misconfigured")
    assert list(tmp_path.iterdir()) == []


def test_data_comes_back_bit_for_bit_from_the_remote_alone(root: Path, workspace: Path, tmp_path: Path) -> None:
    made = reproduce(workspace, "second", stages=2)
    before = {path: of_path(workspace / path) for path in made}
    shutil.rmtree(workspace)
    shutil.rmtree(root / ".dvc" / "cache")

    back = bring_back(root, made, tmp_path / "back")
    assert {path: of_path(back / path) for path in made} == before
    assert [path.name for path in back.iterdir()] == ["data"]
    with pytest.raises(Misconfigured, match="is not empty"):
        bring_back(root, made, back)


def test_data_that_was_erased_is_said_to_be_gone_and_nothing_is_left(
    root: Path, workspace: Path, tmp_path: Path
) -> None:
    made = reproduce(workspace, "second", stages=2)
    for place in (root / ".dvc" / "cache", root / "var" / "dvc-remote"):
        shutil.rmtree(place / "files" / "md5" / made["data/second"][:2])
    with pytest.raises(ContractBroken, match=r"found without data/second, .*accept that it was erased"):
        bring_back(root, made, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_remote_that_cannot_be_reached_is_an_outage_and_no_erasure(root: Path, tmp_path: Path) -> None:
    (root / ".dvc" / "config").write_text("[core]\n    remote = far\n['remote \"far\"']\n    url = s3://nowhere/x\n")
    with pytest.raises(Unavailable, match=r"could not bring the data back .*s3"):
        bring_back(root, {"data/first": "0" * 32}, tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_remote_that_takes_nothing_is_an_outage_and_the_data_stay(root: Path, tmp_path: Path) -> None:
    (root / ".dvc" / "config.local").write_text("['remote \"local\"']\n    url = s3://nowhere/x\n")
    workspace = opened(root, tmp_path)
    with pytest.raises(Unavailable, match=r"the DVC remote does not take it .*s3"):
        reproduce(workspace, "second", stages=2)
    assert (workspace / "data" / "second" / "made.bin").exists()


def test_what_only_this_machine_may_know_of_a_remote_is_readable_by_its_owner_alone(root: Path, tmp_path: Path) -> None:
    (root / ".dvc" / "config.local").write_text("['remote \"local\"']\n    password = secret%of%mine\n")
    config = opened(root, tmp_path) / ".dvc" / "config"
    assert "password = secret%of%mine" in config.read_text()
    assert config.stat().st_mode & 0o077 == 0


def test_a_workspace_shares_the_checkouts_cache_and_remote(root: Path, workspace: Path) -> None:
    reproduce(workspace, "second", stages=2)
    assert (root / ".dvc" / "cache" / "files").is_dir()
    assert (root / "var" / "dvc-remote" / "files").is_dir()


@pytest.fixture
def jali(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple]:
    """`jali data get 3` in this checkout, with the DVC hashes that the version is tagged with."""

    def get(tags: dict[str, str]) -> tuple[int, str, str]:
        from components.cli import main

        monkeypatch.setenv("JALI_ROOT", str(root))
        monkeypatch.setattr("components.registry.models.data_of", lambda here, service, version: tags)
        monkeypatch.setattr(sys, "argv", ["jali", "data", "get", "3"])
        code = 0
        try:
            main()
        except SystemExit as leave:
            code = int(leave.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return get


def test_data_get_brings_a_versions_data_and_says_where_it_lies(root: Path, workspace: Path, jali: Callable) -> None:
    made = reproduce(workspace, "second", stages=2)
    code, out, _ = jali(made)
    restored = root / "var" / "restored" / "recommend-3"
    assert (code, out.splitlines()) == (0, [f"{md5}  {restored / path}" for path, md5 in sorted(made.items())])
    assert of_path(restored / "data" / "second") == of_path(workspace / "data" / "second")


def test_data_get_of_erased_data_is_one_sentence_and_code_21(root: Path, jali: Callable) -> None:
    code, _, err = jali({"data/first": "0" * 32})
    assert code == 21
    assert len(err.splitlines()) == 1
    assert "neither the DVC cache nor the remote (found without data/first" in err


def test_data_get_of_a_version_without_tags_is_refused(jali: Callable) -> None:
    code, _, err = jali({})
    assert code == 20
    assert "Version 3 of recommend names no data" in err

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from components.core.errors import ApprovalInvalid, Misconfigured
from components.serving.rollout import Rollout

from . import signed


def _rollout(home: Path) -> Rollout:
    rollout = Rollout([signed.ECHO], signed.source(home))
    rollout.refresh_if_changed()
    return rollout


def _without(home: Path, name: str) -> None:
    file = home / "identities.yaml"
    file.write_text(
        yaml.safe_dump({key: value for key, value in yaml.safe_load(file.read_text()).items() if key != name})
    )


def test_an_approved_promotion_is_served_and_the_next_one_follows(tmp_path: Path) -> None:
    signed.promote(tmp_path, 1)
    rollout = _rollout(tmp_path)
    first = rollout.serving("echo")
    signed.promote(tmp_path, 2)
    rollout.refresh_if_changed()
    second = rollout.serving("echo")
    assert rollout.problems == {}
    assert first is not None
    assert second is not None
    assert (first.model, first.version) == ("v1", 1)
    assert (second.model, second.version) == ("v2", 2)
    assert (second.champion.author, second.champion.approver) == ("ana", "ben")
    assert second.epsilon == 2.9


def test_a_stored_bundle_with_one_flipped_bit_is_not_served(tmp_path: Path) -> None:
    bundle = signed.promote(tmp_path, 1)
    weights = bundle / "weights.safetensors"
    weights.write_bytes(b"\x01" + weights.read_bytes()[1:])
    rollout = _rollout(tmp_path)
    assert rollout.serving("echo") is None
    assert "is not the one that was approved" in rollout.problems["echo"]


def test_a_promotion_by_an_unlisted_approver_is_not_served(tmp_path: Path) -> None:
    signed.promote(tmp_path, 1)
    _without(tmp_path, "ben")
    rollout = _rollout(tmp_path)
    assert rollout.serving("echo") is None
    assert "ben" in rollout.problems["echo"]


def test_taking_the_approver_out_of_the_reviewed_file_stops_what_is_being_served(tmp_path: Path) -> None:
    signed.promote(tmp_path, 1)
    rollout = _rollout(tmp_path)
    assert rollout.ready
    _without(tmp_path, "ben")
    rollout.refresh()
    assert rollout.serving("echo") is None


def test_a_missing_reviewed_file_stops_nothing_that_is_being_served_and_is_reported(tmp_path: Path) -> None:
    signed.promote(tmp_path, 1)
    rollout = _rollout(tmp_path)
    (tmp_path / "identities.yaml").unlink()
    rollout.refresh()
    assert rollout.ready
    assert "echo" in rollout.problems
    champion = signed.source(tmp_path)
    loaded = rollout.serving("echo")
    assert loaded is not None
    with pytest.raises(Misconfigured, match="JALI_IDENTITIES"):
        champion.verify(loaded.champion)


def test_a_lost_verdict_refuses_a_new_process_and_stops_no_running_one(tmp_path: Path) -> None:
    signed.promote(tmp_path, 1)
    running = _rollout(tmp_path)
    for verdict in (tmp_path / "records" / "verdict").iterdir():
        verdict.unlink()
    running.refresh()
    assert running.ready
    assert "verdict" in running.problems["echo"]
    assert not _rollout(tmp_path).ready


def test_the_champion_is_verified_with_the_identities_of_now(tmp_path: Path) -> None:
    signed.promote(tmp_path, 1)
    source = signed.source(tmp_path)
    champion = source.current("echo")
    assert champion is not None
    source.verify(champion)
    _without(tmp_path, "ana")
    with pytest.raises(ApprovalInvalid, match="ana"):
        source.verify(champion)


@pytest.mark.slow
def test_serving_imports_neither_the_tracking_server_nor_the_orchestrator() -> None:
    program = (
        "import sys, components.serving.server; print({'mlflow', 'prefect', 'torch', 'opacus'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from components.core.errors import ApprovalInvalid, Unavailable
from components.serving import rollout as rollouts
from components.serving.rollout import Rollout

from .toy import TOY, HandTurned, champion, for_service


def test_a_promoted_version_takes_over_at_the_next_poll(tmp_path: Path) -> None:
    source = HandTurned(toy=champion(tmp_path, 1))
    rollout = Rollout([TOY], source)
    rollout.refresh_if_changed()
    first = rollout.serving("toy")
    source.champions["toy"] = champion(tmp_path, 2)
    rollout.refresh_if_changed()
    second = rollout.serving("toy")
    assert first is not None
    assert second is not None
    assert (first.model, second.model) == ("v1", "v2")
    assert rollout.ready
    assert rollout.problems == {}


def test_an_unchanged_champion_is_not_loaded_again(tmp_path: Path) -> None:
    loads = []
    counted = replace(TOY, load=lambda folder: loads.append(folder) or TOY.load(folder))
    rollout = Rollout([counted], HandTurned(toy=champion(tmp_path, 1)))
    for _ in range(5):
        rollout.refresh_if_changed()
    rollout.refresh()
    assert len(loads) == 1


def test_without_a_promotion_nothing_is_ready_and_the_reason_names_the_command() -> None:
    rollout = Rollout([TOY], HandTurned())
    rollout.refresh()
    assert not rollout.ready
    assert "jali promote request" in rollout.problems["toy"]


def test_a_version_without_a_valid_approval_is_not_served() -> None:
    rollout = Rollout([TOY], HandTurned(toy=ApprovalInvalid("The approval of version 2 is by its author")))
    rollout.refresh()
    assert rollout.serving("toy") is None
    assert "by its author" in rollout.problems["toy"]


@pytest.mark.parametrize("fault", ["unapproved", "tampered"])
def test_the_previous_champion_keeps_serving_when_the_next_is_refused(tmp_path: Path, fault: str) -> None:
    source = HandTurned(toy=champion(tmp_path, 1))
    rollout = Rollout([TOY], source)
    rollout.refresh()
    after = champion(tmp_path, 2)
    (after.bundle / "config.json").write_text('{"tag": "evil"}')
    source.champions["toy"] = after if fault == "tampered" else ApprovalInvalid("The alias was moved by hand")
    rollout.refresh_if_changed()
    loaded = rollout.serving("toy")
    assert loaded is not None
    assert loaded.model == "v1"
    assert rollout.ready
    assert "toy" in rollout.problems


def test_a_champion_whose_approval_is_withdrawn_stops_serving(tmp_path: Path) -> None:
    source = HandTurned(toy=champion(tmp_path, 1))
    rollout = Rollout([TOY], source)
    rollout.refresh()
    source.champions["toy"] = ApprovalInvalid("The reviewed file does not know ben")
    source.withdrawn = {1}
    rollout.refresh_if_changed()
    assert rollout.serving("toy") is None
    assert not rollout.ready
    assert "withdrawn" in rollout.problems["toy"]


def test_a_refused_champion_is_taken_once_its_bundle_is_restored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = champion(tmp_path, 1)
    (one.bundle / "config.json").write_text('{"tag": "evil"}')
    rollout = Rollout([TOY], HandTurned(toy=one))
    rollout.refresh_if_changed()
    assert not rollout.ready
    champion(tmp_path, 1)
    rollout.refresh_if_changed()
    assert not rollout.ready, "a refused bundle is not hashed again at every poll"
    monkeypatch.setattr(rollouts, "RETRY_SECONDS", 0)
    rollout.refresh_if_changed()
    assert rollout.ready


def test_one_service_that_fails_does_not_hold_up_the_other(tmp_path: Path) -> None:
    other = replace(TOY, name="other")
    source = HandTurned(toy=Unavailable("The history is locked"), other=for_service("other", champion(tmp_path, 1)))
    rollout = Rollout([TOY, other], source)
    rollout.refresh()
    assert rollout.serving("other") is not None
    assert not rollout.ready
    assert "locked" in rollout.problems["toy"]


def test_a_source_that_breaks_in_an_unforeseen_way_is_a_problem_and_not_the_end(tmp_path: Path) -> None:
    class Broken(HandTurned):
        broken = False

        def revision(self) -> str:
            if self.broken:
                raise RuntimeError("no such table")
            return super().revision()

        def current(self, service: str):  # type: ignore[no-untyped-def]
            if self.broken:
                raise RuntimeError("no such table")
            return super().current(service)

    source = Broken(toy=champion(tmp_path, 1))
    rollout = Rollout([TOY], source)
    rollout.refresh_if_changed()
    source.broken = True
    rollout.refresh_if_changed()
    assert rollout.serving("toy") is not None
    assert "no such table" in rollout.problems["toy"]
    source.broken = False
    rollout.refresh_if_changed()
    assert rollout.problems == {}


def test_the_old_version_leaves_memory_when_its_last_request_ends(tmp_path: Path) -> None:
    class Model(str):
        __slots__ = ("__weakref__",)

    source = HandTurned(toy=champion(tmp_path, 1))
    rollout = Rollout([replace(TOY, load=lambda folder: Model(TOY.load(folder)))], source)
    rollout.refresh()
    in_flight = rollout.serving("toy")
    assert in_flight is not None
    old = weakref.ref(in_flight.model)
    source.champions["toy"] = champion(tmp_path, 2)
    rollout.refresh_if_changed()
    assert old() == "v1"
    del in_flight
    gc.collect()
    assert old() is None


def test_requests_go_on_with_the_old_version_while_the_new_one_is_loading(tmp_path: Path) -> None:
    loading, release = threading.Event(), threading.Event()

    def load(folder: Path) -> str:
        tag = TOY.load(folder)
        if tag == "v2":
            loading.set()
            assert release.wait(5)
        return tag

    source = HandTurned(toy=champion(tmp_path, 1))
    rollout = Rollout([replace(TOY, load=load)], source)
    rollout.refresh()
    source.champions["toy"] = champion(tmp_path, 2)
    thread = threading.Thread(target=rollout.refresh_if_changed)
    thread.start()
    assert loading.wait(5)
    during = rollout.serving("toy")
    release.set()
    thread.join(5)
    after = rollout.serving("toy")
    assert during is not None
    assert after is not None
    assert (during.model, after.model) == ("v1", "v2")

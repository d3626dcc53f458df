from datetime import timedelta

import mlflow
import pytest

from components.core.errors import ApprovalInvalid, ContractBroken, Misconfigured, Refused
from components.registry import identities, models, promotion
from components.registry.champions import ApprovedChampions
from components.registry.history import History
from components.registry.status import status
from components.registry.store import prepare_store

from .echo import Answer
from .people import NOW, versioned


def asked(settings, by="ana"):
    return promotion.request(settings, "echo", by=by, now=NOW)


def decide(settings, by="ben", outcome="approve"):
    waiting = History(settings.home).last_request("echo")
    version = waiting.version if waiting else 1
    return promotion.decide(
        settings, "echo", version, outcome=outcome, by=by, reason="the gain holds", now=NOW, days=14
    )


def promoted(settings, echo, times=1):
    versioned(settings, echo, times=times)
    asked(settings)
    return promotion.promote(settings, decide(settings).request, now=NOW)


def test_two_people_make_a_champion(settings, echo):
    champion = promoted(settings, echo)
    assert (champion.version, champion.author, champion.approver) == (1, "ana", "ben")
    assert champion == promotion.champion_of(settings, "echo")
    assert champion == ApprovedChampions(settings.home, settings.identities).current("echo")
    assert champion.bundle.is_dir()
    model = mlflow.pyfunc.load_model("models:/jali-echo@champion")
    assert model.predict([{"history": ["x"]}]) == [Answer(items=["x"], times=1)]


def test_nobody_promotes_alone(settings, echo):
    versioned(settings, echo)
    asked(settings)
    with pytest.raises(ApprovalInvalid, match="cannot approve it"):
        decide(settings, by="ana")
    assert History(settings.home).decision(asked(settings).digest) is None
    assert models.alias(settings, "echo", models.CHAMPION) is None


def test_asking_again_gives_the_request_that_waits(settings, echo):
    versioned(settings, echo)
    first = asked(settings)
    assert promotion.request(settings, "echo", by="ana", now=NOW + timedelta(days=1)) == first
    assert asked(settings, by="cid") != first
    assert len(History(settings.home).entries()) == 2


def test_a_request_that_nobody_decided_promotes_nothing(settings, echo):
    versioned(settings, echo)
    with pytest.raises(ApprovalInvalid, match="no decision"):
        promotion.promote(settings, asked(settings).digest, now=NOW)


def test_a_rejected_request_promotes_nothing_and_is_decided_once(settings, echo):
    versioned(settings, echo)
    request = asked(settings)
    decide(settings, outcome="reject")
    with pytest.raises(ApprovalInvalid, match="was not approved"):
        promotion.promote(settings, request.digest, now=NOW)
    with pytest.raises(ApprovalInvalid, match=r"waits for a decision \(found reject by ben\)"):
        decide(settings, by="cid")


def test_an_approval_that_has_expired_promotes_nothing(settings, echo):
    versioned(settings, echo)
    asked(settings)
    with pytest.raises(ApprovalInvalid, match="has expired"):
        promotion.promote(settings, decide(settings).request, now=NOW + timedelta(days=15))
    assert History(settings.home).champion("echo") is None


def test_promoting_again_changes_nothing(settings, echo):
    champion = promoted(settings, echo)
    again = promotion.promote(settings, champion.request.digest, now=NOW + timedelta(days=99))
    assert again == champion
    assert History(settings.home).sequence("echo") == 1


def test_an_old_approval_does_not_move_the_champion_back(settings, echo):
    first = promoted(settings, echo)
    second = promoted(settings, echo, times=2)
    assert promotion.promote(settings, first.request.digest, now=NOW) == second
    assert models.alias(settings, "echo", models.CHAMPION) == 2


STEPS = ["verify", "append", "align"]


@pytest.mark.parametrize("killed_before", STEPS)
def test_a_promotion_killed_in_the_middle_is_completed_by_running_it_again(settings, echo, monkeypatch, killed_before):
    promoted(settings, echo)
    versioned(settings, echo, times=2)
    asked(settings)
    request = decide(settings).request

    def killed(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        place = {"verify": (models, "require_copy"), "append": (History, "_append"), "align": (promotion, "align")}
        broken.setattr(*place[killed_before], killed)
        with pytest.raises(KeyboardInterrupt):
            promotion.promote(settings, request, now=NOW)
    assert ApprovedChampions(settings.home, settings.identities).current("echo").version in (1, 2)
    # The approval has run out since; what was committed is completed, and what was not is refused.
    late = NOW + timedelta(days=99 if killed_before == "align" else 0)
    champion = promotion.promote(settings, request, now=late)
    assert champion.version == 2
    assert promotion.champion_of(settings, "echo") == champion
    assert History(settings.home).sequence("echo") == 2


def test_an_alias_that_somebody_moved_is_not_believed(settings, echo):
    promoted(settings, echo)
    number, _ = versioned(settings, echo, times=2)
    prepare_store(settings).set_registered_model_alias("jali-echo", "champion", str(number))
    with pytest.raises(ApprovalInvalid, match=r"moved without an approval.*found version 2, limit version 1"):
        promotion.champion_of(settings, "echo")
    assert promotion.align(settings, "echo").version == 1
    assert promotion.champion_of(settings, "echo").version == 1


def test_an_alias_without_any_promotion_is_not_believed(settings, echo):
    versioned(settings, echo)
    prepare_store(settings).set_registered_model_alias("jali-echo", "champion", "1")
    with pytest.raises(ApprovalInvalid, match="has no champion"):
        promotion.champion_of(settings, "echo")
    with pytest.raises(ApprovalInvalid, match="has no champion"):
        promotion.align(settings, "echo")


def test_a_copy_that_was_changed_after_the_approval_is_not_promoted(settings, echo):
    versioned(settings, echo)
    asked(settings)
    request = decide(settings).request
    next((settings.root / "mlruns" / "artifacts").rglob("weights.safetensors")).write_bytes(b"flipped")
    with pytest.raises(ContractBroken, match="not the bundle that was registered"):
        promotion.promote(settings, request, now=NOW)
    assert History(settings.home).champion("echo") is None


def test_a_version_whose_tag_names_other_evidence_is_not_promoted(settings, echo):
    _, of = versioned(settings, echo)
    request = asked(settings)
    decide(settings)
    other, rejudged = versioned(settings, echo, times=2)
    assert rejudged.verdict.digest != of.verdict.digest
    assert other == 2
    prepare_store(settings).set_model_version_tag("jali-echo", "1", "jali.verdict", rejudged.verdict.digest)
    with pytest.raises(ApprovalInvalid, match="differs"):
        promotion.promote(settings, request.digest, now=NOW)


def test_a_name_taken_out_of_the_reviewed_file_withdraws_its_approval(settings, echo):
    promoted(settings, echo)
    champions = ApprovedChampions(settings.home, settings.identities)
    before = champions.revision()
    settings.identities.write_text(settings.identities.read_text().replace("ben:", "bob:"))
    assert champions.revision() != before
    with pytest.raises(ApprovalInvalid, match="found ben"):
        champions.current("echo")


def test_a_rollback_by_one_person_restores_the_champion_before(settings, echo):
    promoted(settings, echo)
    promoted(settings, echo, times=2)
    champion = promotion.rollback(settings, "echo", by="cid", reason="complaints", now=NOW)
    assert (champion.version, champion.approver) == (1, "ben")
    assert promotion.champion_of(settings, "echo") == champion
    with pytest.raises(Refused, match="no earlier champion"):
        promotion.rollback(settings, "echo", by="cid", reason="more", now=NOW)


def test_a_rollback_voids_what_was_asked_for_before_it(settings, echo):
    promoted(settings, echo)
    promoted(settings, echo, times=2)
    versioned(settings, echo, times=3)
    asked(settings)
    promotion.rollback(settings, "echo", by="cid", reason="complaints", now=NOW)
    with pytest.raises(ApprovalInvalid, match="moved after version 3 was asked for"):
        decide(settings)


def test_a_rollback_by_somebody_unknown_moves_nothing(settings, echo):
    promoted(settings, echo)
    promoted(settings, echo, times=2)
    identities.new_key(settings.home, "eve")
    with pytest.raises(ApprovalInvalid, match="does not know"):
        promotion.rollback(settings, "echo", by="eve", reason="mischief", now=NOW)
    assert promotion.champion_of(settings, "echo").version == 2


def test_a_rollback_killed_before_the_alias_moved_is_completed(settings, echo, monkeypatch):
    promoted(settings, echo)
    promoted(settings, echo, times=2)
    with monkeypatch.context() as broken:
        broken.setattr(promotion, "align", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            promotion.rollback(settings, "echo", by="cid", reason="complaints", now=NOW)
    assert promotion.align(settings, "echo").version == 1
    assert promotion.champion_of(settings, "echo").version == 1


def test_asking_for_what_is_champion_or_for_nothing_is_refused(settings, echo):
    with pytest.raises(Refused, match="no challenger"):
        asked(settings)
    promoted(settings, echo)
    with pytest.raises(Refused, match="champion already"):
        asked(settings)


@pytest.mark.parametrize(
    ("act", "state"),
    [
        (lambda settings: None, "undecided"),
        (lambda settings: decide(settings, outcome="reject"), "rejected"),
        (lambda settings: decide(settings), "approved"),
        (lambda settings: promotion.promote(settings, decide(settings).request, now=NOW), "promoted"),
    ],
)
def test_the_status_says_what_waits_for_whom(settings, echo, act, state):
    versioned(settings, echo)
    asked(settings)
    act(settings)
    found = status(settings, "echo", now=NOW)
    assert found.request.state == state
    assert (found.champion, found.challenger) == (1 if state == "promoted" else None, 1)
    assert found.moves[0] == "2026-03-01 12:00 ana asked for version 1"


def test_who_decides_names_the_version_that_they_read_about(settings, echo):
    number, _ = versioned(settings, echo)
    promotion.request(settings, "echo", by="ana", now=NOW, version=number)
    with pytest.raises(ApprovalInvalid, match="another version"):
        promotion.decide(settings, "echo", number + 1, outcome="approve", by="ben", reason="fine", now=NOW, days=1)


def test_a_decision_without_a_reason_is_no_decision(settings, echo):
    with pytest.raises(Misconfigured, match="needs a reason"):
        promotion.decide(settings, "echo", 1, outcome="approve", by="ben", reason=" ", now=NOW, days=1)

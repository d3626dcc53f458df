from datetime import timedelta

import pytest

from components.core.errors import ApprovalInvalid, ContractBroken
from components.registry import identities
from components.registry.approvals import require_signed, require_valid
from components.registry.history import History, Promotion

from .people import NOW, decision, evidence, people, request


@pytest.fixture
def known(tmp_path):
    return people(tmp_path, "ana", "ben", "cid")


def check(home, decided, asked, of, known, now=NOW):
    require_valid(decided, asked, of, known, History(home), now)


def test_a_second_persons_approval_is_valid(tmp_path, known):
    of = evidence(tmp_path)
    asked = request(tmp_path, of)
    check(tmp_path, decision(tmp_path, asked), asked, of, known)


def test_an_unknown_approver_is_refused(tmp_path, known):
    of = evidence(tmp_path)
    asked = request(tmp_path, of)
    identities.new_key(tmp_path, "eve")
    with pytest.raises(ApprovalInvalid, match="does not know"):
        check(tmp_path, decision(tmp_path, asked, by="eve"), asked, of, known)


def test_the_author_cannot_approve(tmp_path, known):
    of = evidence(tmp_path, author="ana")
    asked = request(tmp_path, of, by="cid")
    with pytest.raises(ApprovalInvalid, match="cannot approve it"):
        check(tmp_path, decision(tmp_path, asked, by="ana"), asked, of, known)


def test_the_author_cannot_approve_under_another_name(tmp_path, known):
    of = evidence(tmp_path, author="ana")
    asked = request(tmp_path, of)
    (tmp_path / "keys" / "alias.key").write_bytes((tmp_path / "keys" / "ana.key").read_bytes())
    with pytest.raises(ApprovalInvalid, match="alias with ana's key"):
        check(tmp_path, decision(tmp_path, asked, by="alias"), asked, of, {**known, "alias": known["ana"]})


def test_who_asks_for_the_promotion_cannot_approve_it(tmp_path, known):
    of = evidence(tmp_path, author="cid")
    asked = request(tmp_path, of, by="ben")
    with pytest.raises(ApprovalInvalid, match="cannot approve it"):
        check(tmp_path, decision(tmp_path, asked, by="ben"), asked, of, known)


def test_a_requester_cannot_name_another_author(tmp_path, known):
    of = evidence(tmp_path, author="ana")
    claimed = request(tmp_path, of, by="cid").model_copy(update={"author": "ben"})
    asked = identities.sign(claimed, tmp_path, "cid")
    with pytest.raises(ApprovalInvalid, match="the author differs"):
        check(tmp_path, decision(tmp_path, asked, by="ana"), asked, of, known)


def test_a_training_that_its_author_did_not_sign_is_refused(tmp_path, known):
    of = evidence(tmp_path, author="ana")
    forged = of.training.model_copy(update={"author": "cid"})
    verdict = of.verdict.model_copy(update={"request": forged.digest})
    of = type(of)(of.dataset, forged, of.statement, of.evaluation, verdict)
    asked = request(tmp_path, of)
    with pytest.raises(ApprovalInvalid, match="training-request does not carry cid's signature"):
        check(tmp_path, decision(tmp_path, asked), asked, of, known)


def test_a_signature_by_another_key_is_refused(tmp_path, known):
    of = evidence(tmp_path)
    asked = request(tmp_path, of)
    forged = identities.sign(decision(tmp_path, asked, by="ben"), tmp_path, "ana")
    with pytest.raises(ApprovalInvalid, match="does not carry ben's signature"):
        check(tmp_path, forged, asked, of, known)


@pytest.mark.parametrize(
    "change",
    [
        {"outcome": "reject"},
        {"version": 2},
        {"sequence": 2},
        {"previous_champion": 7},
        {"model": "x" * 64},
        {"evidence": "x" * 64},
        {"reason": "another"},
        {"expires_at": NOW + timedelta(days=99)},
        {"service": "other"},
        {"request": "x" * 64},
        {"decided_at": NOW - timedelta(days=1)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_field_altered_after_signing_is_refused(tmp_path, known, change):
    of = evidence(tmp_path)
    asked = request(tmp_path, of)
    altered = decision(tmp_path, asked).model_copy(update=change)
    with pytest.raises(ApprovalInvalid, match="does not carry ben's signature"):
        check(tmp_path, altered, asked, of, known)


@pytest.mark.parametrize(
    "field", ["service", "version", "sequence", "previous_champion", "model", "evidence", "request"]
)
def test_an_honestly_signed_decision_over_something_else_is_refused(tmp_path, known, field):
    of = evidence(tmp_path)
    asked = request(tmp_path, of)
    other = 9 if field in ("version", "sequence", "previous_champion") else "x" * 64
    with pytest.raises(ApprovalInvalid, match="The approval does not fit"):
        check(tmp_path, decision(tmp_path, asked, **{field: other}), asked, of, known)


def test_a_request_for_another_model_than_the_verdicts_is_refused(tmp_path, known):
    of = evidence(tmp_path)
    asked = identities.sign(request(tmp_path, of).model_copy(update={"model": "x" * 64}), tmp_path, "ana")
    with pytest.raises(ApprovalInvalid, match="the model's digest differs"):
        check(tmp_path, decision(tmp_path, asked), asked, of, known)


def test_other_evidence_than_what_was_approved_is_refused(tmp_path, known):
    asked = request(tmp_path, evidence(tmp_path))
    other = evidence(tmp_path, bundle="b" * 64)
    other = type(other)(
        other.dataset,
        other.training,
        other.statement,
        other.evaluation,
        other.verdict.model_copy(update={"details": {"note": "rejudged"}}),
    )
    with pytest.raises(ApprovalInvalid, match="the evidence's digest differs"):
        check(tmp_path, decision(tmp_path, asked), asked, other, known)


def test_an_expired_approval_does_not_promote_but_still_serves(tmp_path, known):
    of = evidence(tmp_path)
    asked = request(tmp_path, of)
    decided = decision(tmp_path, asked)
    with pytest.raises(ApprovalInvalid, match="has expired"):
        check(tmp_path, decided, asked, of, known, now=NOW + timedelta(days=15))
    require_signed(decided, asked, of, known)


def test_an_approval_cannot_be_used_twice(tmp_path, known):
    of = evidence(tmp_path)
    asked = request(tmp_path, of)
    with History(tmp_path).writing() as append:
        append(promotion(asked))
    with pytest.raises(ApprovalInvalid, match="found move 1 from champion None, limit move 2 from champion 1"):
        check(tmp_path, decision(tmp_path, asked), asked, of, known)


def test_an_approval_is_void_once_the_champion_moved(tmp_path, known):
    of = evidence(tmp_path)
    asked = request(tmp_path, of, version=2, sequence=2, previous=None)
    with History(tmp_path).writing() as append:
        append(promotion(request(tmp_path, of)))
    with pytest.raises(ApprovalInvalid, match="moved after version 2 was asked for"):
        check(tmp_path, decision(tmp_path, asked), asked, of, known)


def test_a_rejection_promotes_nothing(tmp_path, known):
    of = evidence(tmp_path)
    asked = request(tmp_path, of)
    with pytest.raises(ApprovalInvalid, match="was not approved"):
        check(tmp_path, decision(tmp_path, asked, outcome="reject"), asked, of, known)


def test_a_version_that_failed_a_gate_is_not_promoted_by_any_approval(tmp_path, known):
    of = evidence(tmp_path, passed=False)
    asked = request(tmp_path, of)
    with pytest.raises(ApprovalInvalid, match="failed gates"):
        check(tmp_path, decision(tmp_path, asked), asked, of, known)


def test_records_of_different_runs_do_not_make_evidence(tmp_path, known):
    of = evidence(tmp_path)
    with pytest.raises(ContractBroken, match="another training request"):
        type(of)(of.dataset, evidence(tmp_path, author="ben").training, of.statement, of.evaluation, of.verdict)


def promotion(asked):
    return Promotion(
        service=asked.service,
        version=asked.version,
        sequence=asked.sequence,
        previous_champion=asked.previous_champion,
        request=asked.digest,
        moved_at=NOW,
    )

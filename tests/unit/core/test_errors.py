from __future__ import annotations

import pickle

import pytest

from components.core import errors
from components.core.errors import JaliError

KINDS = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, JaliError)]


def test_a_message_is_one_sentence_with_value_limit_and_next_step() -> None:
    said = errors.GateNotMet("The gain is too small", value=0.001, limit=0.01, next_step="Train on more users.")
    assert str(said) == "The gain is too small (found 0.001, limit 0.01). Train on more users."


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({}, "It broke."),
        ({"value": 0}, "It broke (found 0)."),
        ({"limit": 3}, "It broke (limit 3)."),
        ({"next_step": "Mend it."}, "It broke. Mend it."),
    ],
)
def test_what_is_not_known_is_not_said(facts: dict[str, object], sentence: str) -> None:
    assert str(JaliError("It broke", **facts)) == sentence  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_is_the_same_in_another_process(kind: type[JaliError]) -> None:
    error = kind("It broke", value=3.5, limit="4", next_step="Mend it.")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert str(again) == str(error)
    assert (again.value, again.limit, again.next_step, again.exit_code) == (3.5, "4", "Mend it.", kind.exit_code)


def test_what_cannot_be_answered_still_names_its_field_in_another_process() -> None:
    again = pickle.loads(pickle.dumps(errors.Unanswerable("There is no such site", field="site")))
    assert (str(again), again.field) == ("There is no such site.", "site")


def test_each_class_has_an_exit_code_of_its_own_and_none_means_success() -> None:
    codes = [kind.exit_code for kind in KINDS]
    assert len(set(codes)) == len(codes)
    assert 0 not in codes


def test_a_verdict_is_not_retried_and_an_outage_is_no_verdict() -> None:
    verdicts = {kind for kind in KINDS if issubclass(kind, errors.Refused)}
    assert verdicts == {
        errors.Refused,
        errors.ContractBroken,
        errors.GateNotMet,
        errors.BudgetExhausted,
        errors.ApprovalInvalid,
        errors.Unanswerable,
    }
    assert not issubclass(errors.Unavailable, errors.Refused)

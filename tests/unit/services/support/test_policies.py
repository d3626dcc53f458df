"""Policy texts: each passage says what it answers, and is cited as it stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from components.core.errors import Misconfigured
from components.data.shop.messages import INTENTS as SIMULATED
from components.data.shop.sentences import OUT_OF_SCOPE as SIMULATED_OUT_OF_SCOPE
from components.services.support.params import INTENTS, OUT_OF_SCOPE, SupportParams
from components.services.support.policies import HERE, as_table, from_table, read_policies


def test_the_shops_own_texts_answer_every_intent_and_no_other() -> None:
    assert {intent for passage in read_policies(None) for intent in passage.intents} == set(INTENTS)


def test_the_intents_are_those_of_the_simulated_shop() -> None:
    assert (*INTENTS, OUT_OF_SCOPE) == SIMULATED
    assert OUT_OF_SCOPE == SIMULATED_OUT_OF_SCOPE


def test_a_passage_stands_word_by_word_in_its_file_and_survives_its_table() -> None:
    passages = read_policies(None)
    assert all(one.text in (HERE / one.source).read_text() for one in passages)
    assert from_table(as_table(passages)) == passages


@pytest.mark.parametrize(
    "text",
    [
        "# Only a title\n",
        "## Heading\nno word of what it answers\n",
        "## Heading\n<!-- intents: -->\nText.\n",
        "## Heading\n<!-- intents: refund -->\n\n",
        "## Heading\n<!-- intents: refund; order: shoe_size -->\nText.\n",
    ],
)
def test_a_text_that_does_not_say_what_it_answers_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "one.md").write_text(text)
    with pytest.raises(Misconfigured):
        read_policies(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no policy text"):
        read_policies(tmp_path)


@pytest.mark.parametrize(
    "options",
    [
        {"intents": {}},
        {"intents": {OUT_OF_SCOPE: "the rest"}},
        {"order_number": "("},
        {"order_number": "(a)(b)"},
        {"intents": {f"intent {n}": "x" for n in range(65)}},
    ],
    ids=str,
)
def test_intents_and_order_numbers_that_cannot_be_read_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"intents|out_of_scope|order_number"):
        SupportParams.model_validate(options)

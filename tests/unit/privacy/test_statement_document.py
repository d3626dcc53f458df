import json
from datetime import UTC, datetime

import pytest
from jsonschema import Draft202012Validator, ValidationError

from components.core.params import Cap
from components.core.records import PrivacyStatement
from components.privacy.ledger import Ledger
from components.privacy.statement import statement
from components.privacy.statement_document import SCHEMA, VersionStatement, ledger_state, schema, schema_text

from .builders import private, release_of
from .stated import BLOCKS, FACTS, document

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def test_the_schema_in_the_package_is_the_one_of_the_record():
    assert SCHEMA.read_text() == schema_text(), "run `jali statement --schema` and keep what it prints"
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize(
    "changes", [{}, {"ledger": None, "notes": ("No ledger.",)}, {"standing": None, "public": None, "verdict": None}]
)
def test_a_statement_is_valid_by_its_schema_and_reads_back(changes):
    written = document(**changes).model_dump_json()
    Draft202012Validator(schema()).validate(json.loads(written))
    assert VersionStatement.model_validate_json(written) == document(**changes)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body["privacy"].pop("not_covered"),
        lambda body: body["privacy"].update(epsilon="three"),
        lambda body: body.update(format="jali.privacy-statement/2"),
        lambda body: body.update(secret="a row"),
        lambda body: body["privacy"]["charged"][0].update(purpose="fun"),
    ],
)
def test_what_is_no_statement_is_not_valid(spoil):
    body = json.loads(document().model_dump_json())
    spoil(body)
    with pytest.raises(ValidationError):
        Draft202012Validator(schema()).validate(body)


def test_a_statement_of_before_its_later_fields_is_valid_too():
    old = PrivacyStatement.model_validate(
        {name: value for name, value in statement(**FACTS).model_dump().items() if name not in PrivacyStatement._LATER}
    )
    Draft202012Validator(schema()).validate(json.loads(document(privacy=old).model_dump_json()))


def test_the_ledger_says_what_the_blocks_have_spent_on_whom_and_over_a_lifetime(tmp_path, output):
    ledger = Ledger.open(tmp_path / "home", Cap(epsilon=10, delta=1e-6))
    for mechanism, blocks in (("gram", BLOCKS), ("other", ("2003Q1",))):
        rows = private(blocks=blocks, digest=mechanism)
        with ledger.release(release_of(mechanism=mechanism, blocks=blocks), key=mechanism, of=rows) as opened:
            opened.intend(1)
            opened.keep(output)
    with ledger.release(release_of(blocks=BLOCKS), key="lost", of=private(blocks=BLOCKS)) as opened:
        opened.intend(opened.value[0])  # and nothing is kept
    stated = statement(**{**FACTS, "ledger": ledger.genesis})
    found = ledger_state(ledger, stated, cap=Cap(epsilon=10, delta=1e-6), lifetime_cap=None, now=NOW)
    assert [(account.block, account.split) for account in found.accounts] == [(block, "train") for block in BLOCKS]
    for account in found.accounts:
        assert [(use.mechanism, use.releases) for use in account.by] == [("gram", 2)]
        assert account.used == pytest.approx(sum(use.share for use in account.by))
        assert account.spent + account.held + account.left == pytest.approx(account.cap.epsilon)
    (lifetime,) = found.lifetimes
    assert (lifetime.bounded, lifetime.cap) == (False, None)
    assert lifetime.spent > found.accounts[0].spent, "a life is longer than a block: the other block counts too"
    assert found.attempts_lost == 1

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from components.cli import jali
from components.core.errors import ContractBroken, JaliError, Misconfigured, Refused
from components.core.params import Cap
from components.core.records import PrivacyStatement
from components.privacy.ledger import Ledger
from components.privacy.statement_document import schema
from components.registry import models
from components.registry.statements import statement_of
from components.registry.store import prepare_store

from .people import NOW, versioned
from .test_commands import PARAMS
from .test_promotion import promoted


@pytest.fixture
def checkout(settings, echo, monkeypatch):
    """A checkout with parameters, whose only service is the fake one."""
    (settings.root / "params.yaml").write_text(PARAMS)
    return settings


def test_the_champion_is_the_one_that_was_approved_whatever_the_alias_says(checkout, echo):
    first = promoted(checkout, echo)
    versioned(checkout, echo, times=2)
    prepare_store(checkout).set_registered_model_alias("jali-echo", models.CHAMPION, "2")
    found = statement_of(checkout, "echo@champion", now=NOW)
    assert (found.version, found.alias, found.statement) == (1, "champion", first.statement.digest)
    assert (found.standing.author, found.standing.approver) == ("ana", "ben")
    assert statement_of(checkout, "echo", now=NOW) == found
    assert statement_of(checkout, "echo@challenger", now=NOW).version == 2
    assert statement_of(checkout, "echo@2", now=NOW).standing.approver is None
    for one in (found, statement_of(checkout, "echo@2", now=NOW)):
        Draft202012Validator(schema()).validate(json.loads(one.model_dump_json()))


def test_without_the_ledger_the_versions_own_evidence_is_stated_and_none_is_made(checkout, echo):
    promoted(checkout, echo)
    found = statement_of(checkout, "echo@champion", now=NOW)
    assert found.ledger is None
    assert "No ledger is at hand" in found.notes[0]
    assert not (checkout.home / "ledger.db").exists()


def test_another_ledger_is_not_taken_for_the_one_that_was_charged(checkout, echo):
    promoted(checkout, echo)
    Ledger.open(checkout.home, Cap())
    found = statement_of(checkout, "echo@champion", now=NOW)
    assert found.ledger is None
    assert "another than the one that was charged" in found.notes[0]


def test_its_own_ledger_is_read_beside_it(checkout, echo, monkeypatch):
    promoted(checkout, echo)
    Ledger.open(checkout.home, Cap())
    monkeypatch.setattr(Ledger, "__init__", _named_genesis(Ledger.__init__))
    found = statement_of(checkout, "echo@champion", now=NOW)
    assert found.ledger.genesis == "genesis"
    assert found.notes == ()


def test_a_machine_without_the_home_has_the_registrys_copy_and_says_what_it_did_not_verify(checkout, echo, tmp_path):
    champion = promoted(checkout, echo)
    bare = replace(checkout, home=tmp_path / "bare")
    found = statement_of(bare, "echo@champion", now=NOW)
    assert found.privacy == champion.statement
    assert (found.version, found.standing) == (1, None)
    assert "who approved it was not verified" in found.notes[0]
    assert not bare.home.exists()


def test_the_registry_keeps_the_record_the_document_and_the_page(checkout, echo):
    number, of = versioned(checkout, echo)
    client = prepare_store(checkout)
    version = client.get_model_version("jali-echo", str(number))
    names = {Path(file.path).name for file in client.list_artifacts(version.run_id, f"statement/version-{number}")}
    assert names == {"record.json", "statement.json", "statement.html"}
    written = json.loads(
        Path(client.download_artifacts(version.run_id, "statement/version-1/statement.json")).read_text()
    )
    Draft202012Validator(schema()).validate(written)
    assert written["statement"] == of.statement.digest == version.tags["jali.statement"]
    for tag in ("unit", "lifetime", "mechanism", "ledger", "audit"):
        assert version.tags[f"jali.{tag}"] == getattr(of.statement, tag)


def _spoil(path: Path) -> None:
    document = json.loads(path.read_text())
    document["body"]["epsilon"] = 0.1
    path.write_text(json.dumps(document))


def test_a_statement_that_was_changed_at_home_is_refused(checkout, echo):
    _, of = versioned(checkout, echo)
    _spoil(checkout.home / "records" / PrivacyStatement.kind / f"{of.statement.digest}.json")
    with pytest.raises(ContractBroken, match="was changed after it was written"):
        statement_of(checkout, "echo@1", now=NOW)


@pytest.mark.parametrize("honest_digest", [False, True])
def test_a_registrys_copy_that_was_changed_is_refused(checkout, echo, tmp_path, honest_digest):
    _, of = versioned(checkout, echo)
    (copy,) = checkout.artifacts.rglob("record.json")
    changed = of.statement.model_copy(update={"epsilon": 0.1})
    if honest_digest:
        changed.write(copy)
    else:
        _spoil(copy)
    with pytest.raises(ContractBroken, match="not the one that was registered" if honest_digest else "was changed"):
        statement_of(replace(checkout, home=tmp_path / "bare"), "echo@1", now=NOW)


def test_a_registry_without_a_copy_says_where_to_ask(checkout, echo, tmp_path):
    versioned(checkout, echo)
    for folder in checkout.artifacts.rglob("statement"):
        shutil.rmtree(folder)
    with pytest.raises(ContractBroken, match="holds no privacy statement of version 1"):
        statement_of(replace(checkout, home=tmp_path / "bare"), "echo@1", now=NOW)


@pytest.mark.parametrize(
    ("asked", "kind", "said"),
    [
        ("echo@champion", Refused, "echo has no champion yet"),
        ("echo@challenger", Refused, "echo has no challenger yet"),
        (
            "echo@winner",
            Refused,
            "There is no such alias of echo (found winner, limit champion, challenger, or the num",
        ),
        ("echo@9", Refused, "There is no such version of echo (found 9)"),
        ("echo@0", Refused, "There is no such alias of echo (found 0"),
    ],
)
def test_what_is_not_there_is_one_clear_sentence(checkout, asked, kind, said):
    with pytest.raises(kind) as refused:
        statement_of(checkout, asked, now=NOW)
    assert said in str(refused.value), str(refused.value)
    assert "\n" not in str(refused.value)


def test_an_unknown_service_is_named_with_those_that_there_are(settings):
    with pytest.raises(Misconfigured, match=r"There is no such service \(found recomend, limit .*recommend"):
        statement_of(settings, "recomend@champion", now=NOW)


def test_the_command_prints_text_json_and_a_page(checkout, echo, monkeypatch, tmp_path):
    promoted(checkout, echo)
    for name, value in {
        "JALI_ROOT": checkout.root,
        "JALI_HOME": checkout.home,
        "JALI_IDENTITIES": checkout.identities,
        "JALI_MLFLOW_URI": checkout.mlflow_uri,
    }.items():
        monkeypatch.setenv(name, str(value))

    def run(*words: str) -> str:
        return CliRunner().invoke(jali, ["statement", *words], catch_exceptions=False, standalone_mode=False).output

    assert run("echo@champion").startswith("# Privacy statement: echo, version 1\n")
    Draft202012Validator(json.loads(run("--schema"))).validate(json.loads(run("echo@champion", "--json")))
    page = tmp_path / "statement.html"
    assert run("echo@champion", "--html", str(page)) == f"{page}: privacy statement of version 1 of echo\n"
    assert page.read_text().startswith("<!doctype html>")
    assert CliRunner().invoke(jali, ["statement"]).exit_code == 2
    with pytest.raises(JaliError, match="no such alias"):
        run("echo@nobody")


def _named_genesis(before):
    def made(self, *given, **named):
        before(self, *given, **named)
        self.genesis = "genesis"

    return made

"""Any row that was changed, removed, moved or added is found, and a log that was cut is, by whoever kept its head."""

import pytest

from components.core.errors import ContractBroken, Misconfigured
from components.privacy.chain import Head
from tests.unit.privacy.builders import open_ledger, private, raw, release_of


def spend(ledger, keys="abc"):
    for key in keys:
        with ledger.release(release_of(), key=key, of=private()) as opened:
            _ = opened.value


@pytest.mark.parametrize(
    "tamper",
    [
        "UPDATE entries SET body = replace(body, '3.0', '9.0') WHERE seq = 3",
        "UPDATE entries SET verb = 'release' WHERE verb = 'settle'",
        "DELETE FROM entries WHERE seq = 5",
        "DELETE FROM entries WHERE seq = 1",
        "UPDATE entries SET hash = hash || '0' WHERE seq = 4",
        "INSERT INTO entries SELECT seq + 100, verb, body, hash FROM entries WHERE seq = 2",
    ],
)
def test_a_changed_removed_or_added_row_is_found(home, ledger, tamper):
    spend(ledger)
    with raw(home) as execute:
        assert execute(tamper).rowcount >= 1
    with pytest.raises(ContractBroken, match=r"ledger .* was (changed or removed|cut or replaced)"):
        ledger.verify()
    with pytest.raises(ContractBroken, match="nothing may be released"):
        open_ledger(home)


def test_rows_cut_from_the_end_are_found_by_whoever_kept_the_head(home, ledger):
    spend(ledger)
    anchor = ledger.head
    with raw(home) as execute:
        execute(f"DELETE FROM entries WHERE seq > {anchor.seq - 2}")
    with pytest.raises(ContractBroken, match="cut or replaced"):
        ledger.accounts()
    with pytest.raises(ContractBroken, match="cut or replaced"):
        open_ledger(home).verify(anchor)


def test_a_file_that_is_no_ledger_is_refused(sqlite_home):
    home = sqlite_home
    home.mkdir()
    (home / "ledger.db").write_bytes(b"not a database" * 100)
    with pytest.raises(ContractBroken, match="not a ledger"):
        open_ledger(home)


def test_the_first_of_several_heads_that_is_not_there_is_named(home, ledger):
    spend(ledger)
    early, late = Head.parse(str(ledger.head)), Head(ledger.head.seq + 3, "f" * 64)
    assert ledger.verify(early) == ledger.verify() == ledger.head
    for anchors in ([late, early], [Head(early.seq, "0" * 64), late]):
        with pytest.raises(ContractBroken, match=f"row {min(anchors, key=lambda head: head.seq).seq}|row {late.seq}"):
            ledger.verify(*anchors)


@pytest.mark.parametrize("text", ["", "12", "12:abc", "x:" + "a" * 64, "12:" + "Z" * 64])
def test_a_head_that_is_none_is_refused(text):
    with pytest.raises(Misconfigured, match="no head of a ledger"):
        Head.parse(text)


def test_a_ledger_without_any_row_is_refused(home, ledger):
    with raw(home) as execute:
        execute("DELETE FROM entries")
    with pytest.raises(ContractBroken, match="cut or replaced"):
        open_ledger(home)

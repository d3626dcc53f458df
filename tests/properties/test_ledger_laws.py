"""Laws of the ledger, for any order of verbs and crashes: never above the cap, never a charge lost, any edit found."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from components.core.errors import BudgetExhausted, ContractBroken, Unavailable
from components.core.params import Cap
from components.privacy import accounting, chain
from components.privacy.accounts import steps_of, with_steps
from components.privacy.chain import Head
from components.privacy.ledger import Open
from components.privacy.release import Gaussian, SampledGaussian
from tests.fire import recount
from tests.unit.privacy.builders import new_home, open_ledger, private, raw, release_of, rows

CAP = Cap(epsilon=5, delta=1e-6)
BLOCKS = ("2000Q3", "2000Q4", "2001Q1")

events = st.one_of(
    st.builds(Gaussian, noise_multiplier=st.floats(0.8, 8), count=st.integers(1, 4)),
    st.builds(
        SampledGaussian,
        noise_multiplier=st.floats(0.8, 4),
        sample_rate=st.floats(0.01, 0.5),
        steps=st.integers(1, 30),
    ),
)
blocks = st.sets(st.sampled_from(BLOCKS), min_size=1).map(lambda chosen: tuple(sorted(chosen)))


class LedgerMachine(RuleBasedStateMachine):
    """A ledger beside the simplest account of what it must have charged: what is held or ran, by key and attempt."""

    backend = "sqlite"
    open_holds = Bundle("open_holds")

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.ledger = open_ledger(new_home(self.folder / "home", self.backend), CAP)
        self.output = self.folder / "output"
        self.output.mkdir()
        (self.output / "model").write_text("learnt")
        self.charges = {}
        self.number = 0

    def teardown(self):
        self.ledger.verify()
        shutil.rmtree(self.folder)

    @rule(target=open_holds, event=events, chosen=blocks, key=st.sampled_from(["a", "b", None]))
    def reserve(self, event, chosen, key):
        self.number += 1
        key = key or f"key-{self.number}"
        self.end_the_dead()
        try:
            hold, holding = self.ledger._reserve(release_of(event, blocks=chosen), key)
        except (BudgetExhausted, ContractBroken, Unavailable) as refusal:
            if isinstance(refusal, BudgetExhausted):
                asked = {block: self.cost(block) + accounting.rdp(event, self.order) for block in chosen}
                assert any(total > self.cap for total in asked.values()), "refused although it fits"
            return None
        opened = Open(self.ledger._journal, self.ledger._store, hold, holding, private(blocks=chosen))
        self.charges[hold.key, hold.attempt] = {"event": event, "blocks": chosen, "state": "reserved", "intended": 0}
        return opened

    @rule(opened=open_holds)
    def start(self, opened):
        if opened is not None and self.of(opened)["state"] in ("reserved", "started"):
            assert opened.value == (1, 2, 3)
            self.of(opened)["state"] = "started"

    @rule(opened=open_holds, steps=st.integers(1, 12))
    def intend(self, opened, steps):
        if opened is None or self.of(opened)["state"] not in ("reserved", "started"):
            return
        mine = self.of(opened)
        mine["state"] = "started"
        try:
            opened.intend(steps)
            mine["intended"] += steps
            assert mine["intended"] <= steps_of(mine["event"])
        except BudgetExhausted:
            assert mine["intended"] + steps > steps_of(mine["event"])

    @rule(opened=consumes(open_holds), said=st.integers(0, 30))
    def settle(self, opened, said):
        if opened is None or self.of(opened)["state"] not in ("reserved", "started"):
            return
        mine = self.of(opened)
        ran = min(said, steps_of(mine["event"]))
        opened.ran(with_steps(mine["event"], ran))
        opened.keep(self.output)
        opened.close()
        mine.update(state="settled", event=with_steps(mine["event"], max(ran, mine["intended"])))
        with pytest.raises(ContractBroken):
            opened.intend(1)

    @rule(opened=consumes(open_holds))
    def leave(self, opened):
        if opened is None or self.of(opened)["state"] not in ("reserved", "started"):
            return
        opened.close()
        self.of(opened)["state"] = "settled" if self.of(opened)["state"] == "started" else "released"

    @rule(opened=consumes(open_holds))
    def crash(self, opened):
        if opened is not None and self.of(opened)["state"] in ("reserved", "started"):
            opened._holding.drop()  # what the kernel does when a process ends
            self.of(opened)["dead"] = True

    @rule()
    def lose_the_outputs(self):
        shutil.rmtree(self.folder / "home" / "store", ignore_errors=True)

    @rule()
    def open_again(self):
        before = self.ledger.accounts()
        self.ledger = open_ledger(self.folder / "home", Cap(epsilon=50, delta=1e-6))
        assert self.ledger.accounts() == before
        self.ledger._cap = CAP

    @invariant()
    def no_account_is_above_its_cap(self):
        for account in self.ledger.accounts():
            assert account.rdp_spent + account.rdp_held <= account.rdp_cap
            assert account.cap == CAP
        recount.require_within(rows(self.folder / "home"))

    @invariant()
    def every_charge_is_there(self):
        for account in self.ledger.accounts():
            assert account.rdp_spent + account.rdp_held == pytest.approx(self.cost(account.block), abs=1e-9)

    def of(self, opened):
        return self.charges[opened._hold.key, opened._hold.attempt]

    def end_the_dead(self):
        """A started hold settles in full and an unstarted one is given back, at the next reservation that gets in."""
        for mine in self.charges.values():
            if mine.pop("dead", False):
                mine["state"] = "settled" if mine["state"] == "started" else "released"
        try:
            self.ledger._reserve(release_of(Gaussian(noise_multiplier=1e6)), f"probe-{self.number}")[1].drop()
        except BudgetExhausted:
            return
        with self.ledger._journal.write() as append:
            append("release", {"key": f"probe-{self.number}", "attempt": 1})

    @property
    def order(self):
        return accounting.rdp_budget(CAP.epsilon, CAP.delta)[0]

    @property
    def cap(self):
        return accounting.rdp_budget(CAP.epsilon, CAP.delta)[1] * (1 - 1e-9)

    def cost(self, block):
        return sum(
            accounting.rdp(mine["event"], self.order)
            for mine in self.charges.values()
            if block in mine["blocks"] and mine["state"] != "released"
        )


class PostgresMachine(LedgerMachine):
    """The same, on a server."""

    backend = "postgresql"


TestLedgerMachine = LedgerMachine.TestCase
TestLedgerMachine.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestPostgresMachine = pytest.mark.slow(PostgresMachine.TestCase)
TestPostgresMachine.settings = settings(
    max_examples=5, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)


ROWS = 14
"""Of the ledger that is tampered with: a genesis, an account, and four releases of three rows each."""


def written_anew(found, row):
    """Return `found` with another body in `row`, and hashes that fit it to the end."""
    last = Head(row - 1, found[row - 2][3]) if row > 1 else chain.NOWHERE
    for seq, verb, body, _ in found[row - 1 :]:
        body = body + " " if seq == row else body
        last = Head(seq, chain._hash(last, verb, body))
        yield f"UPDATE entries SET body = '{body}', hash = '{last.hash}' WHERE seq = {seq}"


EDITS = {
    "removed": lambda found, row, other: [f"DELETE FROM entries WHERE seq = {row}"],
    "changed": lambda found, row, other: [f"UPDATE entries SET body = body || ' ' WHERE seq = {row}"],
    "renamed": lambda found, row, other: [f"UPDATE entries SET verb = 'x' WHERE seq = {row}"],
    "rehashed": lambda found, row, other: [f"UPDATE entries SET hash = '{'0' * 64}' WHERE seq = {row}"],
    "swapped": lambda found, row, other: [
        f"UPDATE entries SET seq = {seq} WHERE seq = {was}" for was, seq in ((row, 999), (other, row), (999, other))
    ],
    "put before": lambda found, row, other: [
        f"INSERT INTO entries SELECT -{other}, verb, body, hash FROM entries WHERE seq = {row}"
    ],
    "put behind": lambda found, row, other: [
        f"INSERT INTO entries SELECT {ROWS + other}, verb, body, hash FROM entries WHERE seq = {row}"
    ],
    "cut": lambda found, row, other: [f"DELETE FROM entries WHERE seq >= {row}"],
    "written anew to the end": lambda found, row, other: written_anew(found, row),
}


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
@pytest.mark.parametrize("edit", EDITS)
@given(row=st.integers(1, ROWS), other=st.integers(1, ROWS))
@settings(max_examples=4, deadline=None)
def test_any_row_that_was_changed_removed_moved_or_added_is_found_by_whoever_kept_the_head(backend, edit, row, other):
    assume(edit != "swapped" or row != other)
    with tempfile.TemporaryDirectory() as folder:
        home = new_home(Path(folder) / "home", backend)
        ledger = open_ledger(home)
        for key in "abcd":
            with ledger.release(release_of(), key=key, of=private()) as opened:
                _ = opened.value
        anchor = ledger.head
        assert (anchor.seq, ledger.verify(anchor)) == (ROWS, anchor)
        statements = list(EDITS[edit](rows(home), row, other))
        with raw(home) as execute:
            assert all(execute(statement).rowcount > 0 for statement in statements)
        with pytest.raises(ContractBroken):
            ledger.verify()
        with pytest.raises(ContractBroken, match=r"was changed or removed|was cut or replaced"):
            open_ledger(home).verify(anchor)

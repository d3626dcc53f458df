"""What must hold after a process died, wherever it did: every charge stands, and the next one goes on."""

import json
import time

from components.privacy.ledger import _name_of
from tests.fire import recount
from tests.unit.privacy.builders import STEPS, open_ledger, private, release_of, rows


def until_dead(ledger):
    """Wait until nobody seems to work: a server needs a moment to notice that a process is gone."""
    open_holds = [hold for hold in ledger.holds() if hold.open]
    deadline = time.monotonic() + 20
    while any(ledger._journal.chain.backend.is_held(name_of(hold)) for hold in open_holds):
        assert time.monotonic() < deadline, "a dead process still holds"
        time.sleep(0.005)


def name_of(hold):
    return _name_of(hold)


def require_nothing_lost(home, output, told):
    """What was read or drawn is charged; the next one who comes ends what is open, and pays for what it does again."""
    ledger, lines = open_ledger(home), told.read_text().split() if told.exists() else []
    ledger.verify()
    before = recount.charges(rows(home))
    recount.require_within(rows(home))
    until_dead(ledger)
    kept = (done := ledger.settled("k")) is not None and done.folder is not None
    assert kept or "kept" not in lines
    with ledger.release(release_of(STEPS), key="another", of=private()) as opened:
        _ = opened.value
    after = recount.charges(rows(home))
    [charged] = [event for (key, _), (_, event) in after.items() if key == "k"] or [None]
    drawn = lines.count("step")
    if "read" in lines:
        assert charged is not None, "rows were read, and nobody pays"
        assert recount.steps_of(charged) >= (drawn if kept else STEPS.steps)
    else:
        assert drawn == 0
    assert recount.intended(rows(home)) >= drawn
    for name, (_, event) in before.items():
        assert after[name][1] == event or verbs_of(home, name[1])[1:2] != ["start"], "a charge was changed"
    if not kept:
        with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
            assert opened.attempt == len(before) + 1
            opened.keep(output)
        recount.require_within(rows(home))
    ledger.verify()


def verbs_of(home, attempt):
    bodies = [(verb, json.loads(body)) for _, verb, body, _ in rows(home)]
    return [verb for verb, body in bodies if body.get("key") == "k" and body.get("attempt") == attempt]

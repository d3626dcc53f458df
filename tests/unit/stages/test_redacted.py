"""Free text of people is redacted before the first byte of it is stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from components.stages.collect import collect
from components.stages.run import Run
from tests.unit.stages.conftest import but

WINDOW = {"start": "2024-04-01T00:00:00Z", "end": "2024-07-01T00:00:00Z"}
SECRETS = ("jane@example.org", "4111111111111111", "+44 20 7946 0958")
EVENTS = f"""customer,when,what,sku,typed,said
u1,2024-05-01T12:00:00Z,search,,tea for {SECRETS[0]},
u1,2024-05-01T12:01:00Z,review,A,,call {SECRETS[2]}
u1,never,search,,card {SECRETS[1]},call {SECRETS[2]}
"""
MESSAGES = f"""number,customer,when,text
m1,u1,2024-05-01T13:00:00Z,my card {SECRETS[1]} was declined
m2,u1,never,write to {SECRETS[0]}
"""


def collected(run: Run, folder: Path, redact: str | None, *, public: bool = False) -> bytes:
    """Collect a shop's files, and return all that lies in its raw tables as text."""
    folder.mkdir(exist_ok=True)
    (folder / "events.csv").write_text(EVENTS)
    (folder / "messages.csv").write_text(MESSAGES)
    (folder / "items.csv").write_text("sku,name\nA,Apple\n")
    columns = {"user": "customer", "ts": "when"}
    told = {**columns, "event": "what", "item": "sku", "query": "typed", "text": "said"}
    shop: dict[str, Any] = {
        "kind": "files",
        "public": public,
        "events": {"path": str(folder / "events.csv"), "columns": told},
        "messages": {"path": str(folder / "messages.csv"), "columns": {**columns, "message": "number", "text": "text"}},
        "items": {"path": str(folder / "items.csv"), "columns": {"item": "sku", "title": "name"}},
    }
    chosen: dict[str, Any] = {"collect": {"redact": redact}} if redact else {}
    changed = but(run, source="ours", sources={"ours": shop}, window=WINDOW, **chosen)
    collect(changed)
    tables = [pq.read_table(path).to_pylist() for path in sorted((changed.data / "raw").glob("*.parquet"))]
    return repr(tables).encode()


@pytest.mark.parametrize("redact", [None, "private", "all"])
def test_of_people_no_address_and_no_number_is_stored_not_even_in_quarantine(
    run: Run, tmp_path: Path, redact: str | None
) -> None:
    stored = collected(run, tmp_path / "shop", redact)
    assert not [secret for secret in SECRETS if secret.encode() in stored]
    assert all(left.encode() in stored for left in ("tea for [email]", "card [card]", "call [phone]"))


@pytest.mark.parametrize(("redact", "public"), [("none", False), ("private", True)])
def test_a_public_source_or_one_that_is_not_to_be_redacted_is_stored_as_written(
    run: Run, tmp_path: Path, redact: str, public: bool
) -> None:
    stored = collected(run, tmp_path / "shop", redact, public=public)
    assert all(secret.encode() in stored for secret in SECRETS)


def test_another_redaction_of_a_window_is_the_same_window_with_other_rows(run: Run) -> None:
    from components.data.collect import window_key

    loose, strict = (but(run, window=WINDOW, collect={"redact": which}).params for which in ("none", "all"))
    assert window_key(loose.chosen_source, loose.window) == window_key(strict.chosen_source, strict.window)

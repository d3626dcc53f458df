"""The shop's policy texts: public, and the only source of what is said beside the customer's own order.

A text is Markdown. Each second-level heading opens a passage; a comment on the line below says which intents it answers
and which facts of the customer's own order belong beside it:

    ## When a parcel arrives
    <!-- intents: order_status; order: status, expected -->
    Parcels take two to four working days.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from components.core.errors import Misconfigured

FACTS = ("status", "placed", "shipped", "expected", "delivered", "tracking", "total", "refunded", "items")
"""Facts of an order that a passage may ask for."""

HERE = Path(__file__).parent / "policies"

SCHEMA = pa.schema([(name, pa.string()) for name in ("source", "heading", "intents", "facts", "text")])

_MARK = re.compile(r"^<!--\s*intents:\s*(?P<intents>[^;>]*?)\s*(?:;\s*order:\s*(?P<facts>[^>]*?)\s*)?-->\s*$")


@dataclass(frozen=True)
class Passage:
    """A passage, as it is cited.

    Attributes:
        source: the file's name.
        heading: what stands above it.
        intents: what it answers.
        facts: facts of the order that belong beside it.
        text: verbatim.
    """

    source: str
    heading: str
    intents: tuple[str, ...]
    facts: tuple[str, ...]
    text: str


def read_policies(folder: Path | None) -> tuple[Passage, ...]:
    """Return the passages of a folder's Markdown files, by name and place.

    Raises:
        Misconfigured: there is no passage, or one says nothing or not what it answers.
    """
    folder = folder or HERE
    found = [passage for path in sorted(folder.glob("*.md")) for passage in _passages(path)]
    if not found:
        raise Misconfigured("There is no policy text", value=str(folder), limit="*.md with a passage")
    return tuple(found)


def as_table(passages: tuple[Passage, ...]) -> pa.Table:
    """Return the passages as a table, in their order."""
    columns = {
        "source": [one.source for one in passages],
        "heading": [one.heading for one in passages],
        "intents": [", ".join(one.intents) for one in passages],
        "facts": [", ".join(one.facts) for one in passages],
        "text": [one.text for one in passages],
    }
    return pa.table(columns, schema=SCHEMA)


def from_table(table: pa.Table) -> tuple[Passage, ...]:
    """Return what `as_table` was made of."""
    return tuple(
        Passage(**{**row, "intents": _names(row["intents"]), "facts": _names(row["facts"])})
        for row in table.select(SCHEMA.names).to_pylist()
    )


def _passages(path: Path) -> Iterator[Passage]:
    for block in re.split(r"^## +", path.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        heading, _, rest = block.partition("\n")
        mark, _, text = rest.lstrip().partition("\n")
        said = _MARK.match(mark)
        wrong = [fact for fact in _names(said["facts"] or "") if fact not in FACTS] if said else []
        if said is None or not _names(said["intents"]) or not text.strip() or wrong:
            raise Misconfigured(
                f"The passage {heading.strip()!r} of {path.name} does not say what it answers",
                value=", ".join(wrong) or mark[:80],
                limit=f"<!-- intents: …; order: {', '.join(FACTS)} -->, then a text",
                next_step="Mend the line below its heading.",
            )
        yield Passage(path.name, heading.strip(), _names(said["intents"]), _names(said["facts"] or ""), text.strip())


def _names(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())

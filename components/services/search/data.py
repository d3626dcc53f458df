"""From the table of activity to rows: one user's searches, what was taken right after, and what came before."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from components.core.errors import ContractBroken
from components.language.variations import drawn_from, with_typos
from components.services.search.params import SearchParams

COLUMNS = ("item", "title", "category", "brand")
_TAKEN = ("click", "cart", "purchase")
_READ = ("user", "ts", "event", "session", "item", "query", "position")
_MOST_POSITION = 10_000

MOST_LETTERS = 200
"""Of a query: what is longer is neither answered nor learnt from."""


@dataclass(frozen=True)
class Catalogue:
    """The public catalogue, by item, whatever the order of its table: ties in a list are broken by place."""

    table: pa.Table

    @cached_property
    def items(self) -> list[str]:
        """Identifiers; the place of one is its place in every array."""
        return self.table["item"].to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def position(self) -> dict[str, int]:
        """Place by item."""
        return {item: place for place, item in enumerate(self.items)}

    @cached_property
    def titles(self) -> list[str | None]:
        """Readable names, where there are any."""
        return self.table["title"].to_pylist()  # type: ignore[no-any-return]

    @cached_property
    def categories(self) -> list[str]:
        """Category paths; an item without one is in the category ""."""
        return [category or "" for category in self.table["category"].to_pylist()]

    @cached_property
    def brands(self) -> list[str]:
        """Brands; an item without one has the brand ""."""
        return [brand or "" for brand in self.table["brand"].to_pylist()]

    @cached_property
    def texts(self) -> list[str]:
        """What is searched of each item: its title, or else its identifier, with its narrowest category and its brand,
        each word once."""
        parts = zip(self.items, self.titles, self.categories, self.brands, strict=True)
        return [_text(title or item, category, brand) for item, title, category, brand in parts]

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class Search:
    """One search of a user; items are places in the catalogue of the rows.

    Attributes:
        query: what was typed.
        taken: items that were clicked or bought right after.
        shown: where each stood, from 1; 0 where it is not known.
        history: items that the user had clicked, carted or bought before, the latest first.
    """

    query: str
    taken: tuple[int, ...]
    shown: tuple[int, ...]
    history: tuple[int, ...]


@dataclass(frozen=True)
class Rows:
    """People's rows: private. One user's searches each; whose row is whose is not kept.

    Attributes:
        users: their searches, all with something taken.
        items: items that each user took, in this split, without repetition.
        catalogue: the public items; a bundle may have been made on another one.
        encoded: vectors of what queries mean, as far as they were needed: a matter of speed alone.
    """

    users: tuple[tuple[Search, ...], ...]
    items: tuple[tuple[int, ...], ...]
    catalogue: Catalogue
    encoded: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.users)


def read_catalogue(items: Path) -> Catalogue:
    """Read the catalogue's table.

    Raises:
        ContractBroken: it is no such table, an item is listed twice, or there is none.
    """
    try:
        table = pq.read_table(items)
    except pa.ArrowInvalid as error:
        raise ContractBroken(
            f"The catalogue {items} cannot be read", next_step="Collect again, or restore it."
        ) from error
    missing = [name for name in COLUMNS if name not in table.column_names]
    for name in missing:
        table = table.append_column(name, pa.nulls(table.num_rows, pa.string()))
    catalogue = Catalogue(table.select(list(COLUMNS)).sort_by("item"))
    if "item" in missing or len(catalogue) == 0 or len(catalogue.position) != len(catalogue):
        raise ContractBroken(
            f"The catalogue {items} does not list every item once",
            value=f"{len(catalogue)} rows, {len(catalogue.position)} items",
            next_step="Mend the items of the source and collect again.",
        )
    return catalogue


def read_rows(activity: Path, catalogue: Catalogue, params: SearchParams) -> Rows:
    """Return the rows of the users who took something right after a search.

    Each is made of the user's own events and holds at most `max_searches_per_user` searches, the latest; the order of
    the table does not matter. Items that the catalogue does not list are left out, and so are queries longer than an
    answer is given to. Where clicks of a user show positions, the others followed from something else.
    """
    found = by_user(pq.read_table(activity, columns=list(_READ)), catalogue, params).values()
    return Rows(tuple(searches for searches, _ in found), tuple(taken for _, taken in found), catalogue)


def by_user(
    table: pa.Table, catalogue: Catalogue, params: SearchParams
) -> dict[str, tuple[tuple[Search, ...], tuple[int, ...]]]:
    """Return the searches and the items of `read_rows` by user: private, and for simulated people alone by name."""
    appearing = table["user"].unique().to_pylist()  # users stand in this order, so that one more moves nobody
    kept = pc.or_(pc.equal(table["event"], "search"), pc.is_in(table["event"], value_set=pa.array(_TAKEN)))
    table = table.filter(kept).sort_by([(name, "ascending") for name in _READ])
    listed = pa.array(catalogue.items, pa.string())
    place = pc.fill_null(pc.index_in(table["item"].cast(pa.string()), value_set=listed), -1).to_pylist()
    at = pc.divide(table["ts"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()), 1_000_000).to_pylist()
    columns = [table[name].to_pylist() for name in ("user", "event", "session", "query", "position")]
    events = zip(columns[0], at, columns[1], columns[2], place, columns[3], columns[4], strict=True)
    made = {user: _row(list(own), params) for user, own in groupby(events, key=operator.itemgetter(0))}
    return {user: made[user] for user in appearing if user in made and made[user][0]}


def pick(rows: Rows, places: npt.NDArray[np.int64]) -> Rows:
    """Return the users at `places`."""
    return Rows(
        tuple(rows.users[place] for place in places),
        tuple(rows.items[place] for place in places),
        rows.catalogue,
        rows.encoded,
    )


def mistyped(rows: Rows, rate: float) -> Rows:
    """Return the rows with typing errors in their queries, `rate` a letter: augmentation within the row, since the
    errors of a query follow from the query and nothing else. With a rate of 0 they are the same rows.
    """
    if rate == 0:
        return rows
    users = tuple(
        tuple(replace(one, query=with_typos(one.query, rate, drawn_from(one.query, 0))) for one in searches)
        for searches in rows.users
    )
    return replace(rows, users=users)


def _row(events: Sequence[Any], params: SearchParams) -> tuple[tuple[Search, ...], tuple[int, ...]]:
    """Return the searches of one user's events `(user, second, event, session, item, query, position)` in the order of
    time, and the items that were taken."""
    found: list[tuple[int, int, Any, str, dict[int, int]]] = []
    history: list[int] = []  # the latest last
    last: dict[Any, int] = {}  # the latest search of each session, as a place in `found`
    for _, second, event, session, item, query, position in events:
        if event == "search":
            if query and query.strip() and len(query) <= MOST_LETTERS:
                last[session] = len(found)
                found.append((second, len(history), session, query, {}))
            continue
        if item < 0:
            continue
        history.append(item)
        if event != "cart" and session in last:
            began, _, _, _, taken = found[last[session]]
            if position is not None or second - began <= params.right_after_seconds:
                taken.setdefault(item, min(max(position or 0, 0), _MOST_POSITION))
    if any(place for *_, taken in found for place in taken.values()):
        found = [(*rest, {item: place for item, place in taken.items() if place}) for *rest, taken in found]
    searches = [
        Search(
            query=query,
            taken=tuple(taken),
            shown=tuple(taken.values()),
            history=tuple(reversed(history[max(0, before - params.max_history) : before])),
        )
        for _, before, _, query, taken in found
        if taken
    ]
    return tuple(searches[-params.max_searches_per_user :]), tuple(sorted(set(history)))


def _text(title: str, category: str, brand: str) -> str:
    low = title.casefold()
    extra = [part for part in (category.rpartition("/")[2], brand) if part and part.casefold() not in low]
    return " ".join([title, *extra])

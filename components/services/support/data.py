"""From the table of messages to rows: what one user wrote, and what each message was about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from components.language.encoder import SIZE, encoder
from components.services.support.params import SupportParams
from components.services.support.policies import Passage, read_policies

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

MOST_LETTERS = 4000
"""Of a message: what is longer is neither answered nor learnt from."""

_READ = ("user", "ts", "message", "text", "intent")


@dataclass(frozen=True)
class Catalogue:
    """What is public: the items, the policy texts, and the intents.

    Attributes:
        table: item and title, by item.
        passages: of the policy texts.
        intents: a sentence that describes each; out of scope is not among them.
    """

    table: pa.Table
    passages: tuple[Passage, ...]
    intents: dict[str, str]


@dataclass(frozen=True)
class Rows:
    """People's rows: private. One user's messages stand together; whose row is whose is not kept.

    Attributes:
        users: how many there are, all with a message.
        owners: `(messages,)` whose it is, from 0 and in order.
        texts: of the messages.
        intents: `(messages,)` places in `names`.
        names: the intents, out of scope last.
        most: messages of a user at most.
        known: vectors of texts that were encoded, a matter of speed alone.
    """

    users: int
    owners: Integers
    texts: tuple[str, ...]
    intents: Integers
    names: tuple[str, ...]
    most: int
    known: dict[str, Floats] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return self.users

    @cached_property
    def vectors(self) -> Floats:
        """`(messages, SIZE)`: each message encoded alone."""
        return self.encoded(self.texts)

    def encoded(self, texts: Sequence[str]) -> Floats:
        """Return `(texts, SIZE)`, each encoded alone and once."""
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        self.known.update(zip(new, encoder().encode(new), strict=True))
        return np.array([self.known[text] for text in texts], dtype=np.float32).reshape(-1, SIZE)

    @cached_property
    def sizes(self) -> Integers:
        """`(users,)` messages of each, one at least."""
        return np.bincount(self.owners, minlength=self.users)

    def means(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return of each user the mean over messages of `values`, `(messages, …) -> (users, …)`."""
        flat = np.asarray(values, dtype=np.float64).reshape(len(self.owners), int(np.prod(values.shape[1:])))
        summed = np.zeros((self.users, flat.shape[1]))
        np.add.at(summed, self.owners, flat)
        return np.asarray(summed / np.maximum(self.sizes, 1)[:, None])


def read_catalogue(items: Path, params: SupportParams) -> Catalogue:
    """Read what is public.

    Raises:
        Misconfigured: a policy text does not say what it answers.
    """
    table = pq.read_table(items, columns=["item", "title"]).sort_by("item")
    return Catalogue(table, read_policies(params.policies), dict(params.intents))


def read_rows(messages: Path, params: SupportParams) -> Rows:
    """Return the rows of the users with a message whose intent is known.

    Each is made of the user's own messages, the latest `max_messages_per_user` of them; the order of the table does not
    matter. An intent that is not of the list is out of scope.
    """
    table = pq.read_table(messages, columns=list(_READ))
    appearing = table["user"].unique().to_pylist()  # users stand in this order, so that one more moves nobody
    table = table.sort_by([(name, "ascending") for name in _READ])
    place = {name: number for number, name in enumerate(params.names)}
    columns = zip(*(table[name].to_pylist() for name in ("user", "text", "intent")), strict=True)
    labelled = ((user, text, intent) for user, text, intent in columns if intent and readable(text))
    own = {user: list(said)[-params.max_messages_per_user :] for user, said in groupby(labelled, key=itemgetter(0))}
    kept = [own[user] for user in appearing if user in own]
    said = [(number, text, intent) for number, messages in enumerate(kept) for _, text, intent in messages]
    return made(
        len(kept),
        [number for number, _, _ in said],
        [text for _, text, _ in said],
        [place.get(intent, len(place) - 1) for _, _, intent in said],
        params,
    )


def made(
    users: int, owners: Sequence[int], texts: Sequence[str], intents: Sequence[int], params: SupportParams
) -> Rows:
    """Return rows of what is given, one entry a message; `owners` are in order."""
    whole = (np.array(owners, dtype=np.int64), tuple(texts), np.array(intents, dtype=np.int64))
    return Rows(users, *whole, params.names, params.max_messages_per_user)


def readable(text: str | None) -> bool:
    """Return whether a message can be read at all: not too long, and with a letter."""
    return text is not None and len(text) <= MOST_LETTERS and any(letter.isalpha() for letter in text)

"""`Private[T]`: a value that only a release may open, unless its source is declared public."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from components.core import digest as digests
from components.core.errors import ContractBroken

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, eq=False)
class Private(Generic[T]):
    """A table, or anything computed from one, of people in the `split` of the `blocks`.

    Trusted steps go from private to private by `map`. A value comes out only in `with ledger.release(...)`, which
    charges it; no method of this class returns it, but for a source that is declared public.

    Attributes:
        digest: content digest under the shop's key (`digests.keyed`): content keys, which are published, hold it.
        blocks: the calendar blocks whose rows the value was computed from, sorted.
        split: train, validation or test; each is a disjoint set of users.
        public: the source is declared public, so that ceilings and un-noised curves may be shown beside it.
    """

    _load: Callable[[], T]
    digest: str
    blocks: tuple[str, ...]
    split: str
    public: bool = False

    def map(self, transform: Callable[[T], U], *, name: str) -> Private[U]:
        """Return the private result of `transform`; `name` and the input's digest make its digest.

        Nothing is computed before a release opens it. `transform` must be deterministic given its name.
        """
        load = self._load
        return Private(
            _load=lambda: transform(load()),
            digest=digests.of_json([self.digest, name]),
            blocks=self.blocks,
            split=self.split,
            public=self.public,
        )

    def open_public(self) -> T:
        """Return the value of a source that is declared public, for ceilings and un-noised curves.

        Raises:
            ContractBroken: the source is private; only a release opens it.
        """
        if not self.public:
            raise ContractBroken(
                "Only a release opens a private value",
                value=repr(self),
                limit="sources with public: true",
                next_step="Use `with ledger.release(...)`, which charges it.",
            )
        return self._load()

    def __repr__(self) -> str:
        return f"Private(split={self.split!r}, blocks={self.blocks!r})"

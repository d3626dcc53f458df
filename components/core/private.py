"""`Private[T]`: a value that only a release may open, unless its source is declared public."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NoReturn, TypeVar

from components.core import digest as digests
from components.core.errors import ContractBroken

T = TypeVar("T")
U = TypeVar("U")


class Private(Generic[T]):
    """A table, or anything computed from one, of people in the `split` of the `blocks`.

    Trusted steps go from private to private by `map`. A value comes out only in `with ledger.release(...)`, which
    charges it; no method of this class returns it, but for a source that is declared public. It is not changed, not
    copied, not pickled and not taken apart (`dataclasses.asdict` or `replace`, which could declare it public): so it
    cannot go to another process, a task's result or a cache by mistake. Python has nothing that would hold against
    intent; `tests/architecture` looks for ways round it in the source.

    Attributes:
        digest: content digest under the shop's key (`digests.keyed`): content keys, which are published, hold it.
        blocks: the calendar blocks whose rows the value was computed from, sorted.
        split: train, validation or test; each is a disjoint set of users.
        public: the source is declared public, so that ceilings and un-noised curves may be shown beside it.
    """

    __slots__ = ("_load", "blocks", "digest", "public", "split")

    _load: Callable[[], T]
    digest: str
    blocks: tuple[str, ...]
    split: str
    public: bool

    def __init__(
        self, *, _load: Callable[[], T], digest: str, blocks: tuple[str, ...], split: str, public: bool = False
    ) -> None:
        values = {"_load": _load, "digest": digest, "blocks": blocks, "split": split, "public": public}
        for name, value in values.items():
            object.__setattr__(self, name, value)

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

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a private value is not changed; {name} was to be set")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a private value is not changed; {name} was to be deleted")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise ContractBroken(
            "A private value is not pickled and not copied",
            value=repr(self),
            next_step="Pass the paths that it is made of, and make it where a release opens it.",
        )

    def __repr__(self) -> str:
        return f"Private(split={self.split!r}, blocks={self.blocks!r})"

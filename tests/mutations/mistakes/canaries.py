"""Mistakes with canaries: what they touch beside their own columns, what is left of them, and who is counted."""

from __future__ import annotations

from typing import Any

from scipy import sparse

from components.privacy import canaries as canaries_room
from components.services.recommend import gram, popularity
from components.stages import rows as rows_room
from tests.mutations.mistakes import Patch


def what_was_seen_of_canaries_is_in_the_bundle(patch: Patch) -> None:
    """The reserved part goes out with the model, instead of to the audit alone."""
    for kind in (popularity.Popularity, gram.Gram):
        patch.setattr(kind, "fit", _leaving(kind.fit))


def _leaving(real: Any) -> Any:
    def fit(self: Any, *given: Any, out: Any, canaries: Any = None, **options: Any) -> Any:
        event = real(self, *given, out=out, canaries=canaries, **options)
        if canaries:
            (out / "reserved.json").write_text(canaries.required().model_dump_json())
        return event

    return fit


def beside(patch: Patch, change: Any) -> None:
    """Let `change(both, users, columns)` spoil the matrix of `users` and canaries, whose reserved ones follow."""
    real = canaries_room._beside

    def mistaken(matrix: Any, canaries: Any) -> sparse.csr_array:
        both = real(matrix, canaries).tolil()
        change(both, *matrix.shape)
        return sparse.csr_array(both)

    patch.setattr(canaries_room, "_beside", mistaken)


def a_user_is_in_a_reserved_column(patch: Patch) -> None:
    def change(both: Any, users: int, columns: int) -> None:
        both[:1, columns] = 1

    beside(patch, change)


def canaries_hold_what_users_hold(patch: Patch) -> None:
    def change(both: Any, users: int, columns: int) -> None:
        both[users:, :2] = 1

    beside(patch, change)


def canaries_are_counted_as_users(patch: Patch) -> None:
    """So q, the normaliser and δ come from more users than there are."""
    real = rows_room._users
    patch.setattr(rows_room, "_users", lambda *given: [*real(*given), *(f"canary {number}" for number in range(500))])

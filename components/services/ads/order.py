"""What came before what: a user's first look at each item, looks before an impression, the impression of a click."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Integers: TypeAlias = npt.NDArray[np.int64]


def first_looks(user: Integers, item: Integers, seconds: Integers, looked: Integers) -> Integers:
    """Return those of the rows `looked` at which a user looked at an item for the first time, by user and time."""
    looked = looked[np.lexsort((seconds[looked], item[looked], user[looked]))]
    again = (np.diff(user[looked], prepend=-1) == 0) & (np.diff(item[looked], prepend=-1) == 0)
    first = looked[~again]
    return first[np.lexsort((item[first], seconds[first], user[first]))]


def earlier(user: Integers, seconds: Integers, of_user: Integers, at: Integers) -> Integers:
    """Return how many of the events (`user`, `seconds`), which are sorted, come before each (`of_user`, `at`).

    By their order alone: no key is made of two numbers, so none can overflow, however many users there are.
    """
    both = np.lexsort(
        (np.r_[np.ones(len(user), int), np.zeros(len(at), int)], np.r_[seconds, at], np.r_[user, of_user])
    )
    passed = np.cumsum(both < len(user))
    found = np.empty(len(at), dtype=np.int64)
    asked = both >= len(user)
    found[both[asked] - len(user)] = passed[asked]
    return found


def labels(
    user: Integers,
    session: Integers,
    ad: Integers,
    seconds: Integers,
    shown: npt.NDArray[np.bool_],
    clicked: npt.NDArray[np.bool_],
) -> npt.NDArray[np.bool_]:
    """Return which impressions were clicked: the latest of the user, session and ad that is not after the click."""
    at = np.flatnonzero(shown | clicked)
    at = at[np.lexsort((clicked[at], seconds[at], ad[at], session[at], user[at]))]
    place = np.where(shown[at], np.arange(len(at)), -1)
    last = np.maximum.accumulate(place) if len(at) else place
    found = np.zeros(len(user), dtype=bool)
    clicks = np.flatnonzero(clicked[at] & (last >= 0))
    before = last[clicks]
    same = (
        (user[at[before]] == user[at[clicks]])
        & (session[at[before]] == session[at[clicks]])
        & (ad[at[before]] == ad[at[clicks]])
    )
    found[at[before[same]]] = True
    return found

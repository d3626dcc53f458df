"""Popular searches: heavy hitters among phrases of the public catalogue.

What people type is never learnt as text. The phrases that can be counted are words of the public catalogue, and their
categories; a query counts for the one that it says, mistyped or not, or for none. So the domain is public and fixed,
and the counts are one part of the floor's Gaussian release, with so many phrases a user at most. What is shown stands
out of the noise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from components.services.search.bundle import Popular
from components.services.search.data import Catalogue, Search
from components.services.search.text import words

_CLEAR = 4.0  # standard deviations: of thousands of phrases that nobody asks for, hardly one stands out as far


def phrases_of(catalogue: Catalogue, most: int) -> list[str]:
    """Return the `most` phrases that the most items have: words of titles, one or two in a row, and categories."""
    counted: Counter[str] = Counter()
    for title, category in zip(catalogue.titles, catalogue.categories, strict=True):
        spelt = words(title or "")
        own = set(spelt) | {" ".join(pair) for pair in pairwise(spelt)}
        counted.update(own | {" ".join(words(level)) for level in category.split("/")} - {""})
    return sorted(counted, key=lambda phrase: (-counted[phrase], phrase))[:most]


def asked(searches: Sequence[Search], known: dict[str, int], spelt: Callable[[str], list[str]], most: int) -> list[int]:
    """Return the phrases, at most `most`, that a user's latest searches say, as places."""
    found: dict[int, None] = {}
    for search in reversed(searches):
        place = known.get(" ".join(spelt(search.query)))
        if place is not None:
            found.setdefault(place)
    return list(found)[:most]


def popular(phrases: Sequence[str], noised: npt.NDArray[np.float64], sigma: float) -> tuple[Popular, ...]:
    """Return the phrases whose noised weight stands out of noise of standard deviation `sigma`, the best first."""
    out = [place for place in np.argsort(-noised, kind="stable") if noised[place] > max(_CLEAR * sigma, 0.5)]
    return tuple(Popular(phrase=phrases[place], weight=round(float(noised[place]), 2)) for place in out)


def suggested(popular: Sequence[Popular], query: str, most: int) -> list[str]:
    """Return the popular phrases that begin as `query` does or hold one of its words, but not the query itself."""
    typed = words(query)
    begun = " ".join(typed)
    ahead = [one.phrase for one in popular if one.phrase.startswith(begun) and one.phrase != begun]
    shared = [one.phrase for one in popular if one.phrase != begun and set(typed) & set(one.phrase.split())]
    return list(dict.fromkeys(ahead + shared))[:most]

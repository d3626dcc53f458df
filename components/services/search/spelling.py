"""Mistyped Latin words: the nearest words of the public catalogue, by shared character n-grams and edit distance."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import sparse

from components.services.search.text import is_latin

_LEAST_SHARED = 0.34  # Dice coefficient of n-grams below which no edit distance is looked at
_LOOKED_AT = 20


class Spelling:
    """The words that a catalogue uses; what it does not use is taken for the nearest of them.

    Args:
        vocabulary: words of public texts.
        weights: how many items use each; of equally near words the more usual one is taken.
    """

    def __init__(self, vocabulary: Iterable[str], weights: Iterable[int]) -> None:
        pairs = sorted((word, weight) for word, weight in zip(vocabulary, weights, strict=True) if is_latin(word))
        self._words = [word for word, _ in pairs]
        self._weights = [weight for _, weight in pairs]
        self._known = frozenset(self._words)
        self._grams: dict[str, int] = {}
        listed = [sorted(_grams(word)) for word in self._words]
        columns = [self._grams.setdefault(gram, len(self._grams)) for grams in listed for gram in grams]
        self._sizes = np.array([len(grams) for grams in listed], dtype=np.float64)
        starts = np.concatenate([[0], np.cumsum(self._sizes)]).astype(np.int64)
        entries = (np.ones(len(columns)), np.array(columns, dtype=np.int64), starts)
        self._matrix = sparse.csr_array(entries, shape=(len(listed), max(len(self._grams), 1)))

    def corrected(self, word: str) -> str:
        """Return the word that was meant: itself where it is known, too short, not Latin, or near to none."""
        if word in self._known or len(word) < 2 or not is_latin(word) or not self._words:
            return word
        asked = _grams(word)
        vector = np.zeros(self._matrix.shape[1])
        vector[[self._grams[gram] for gram in asked if gram in self._grams]] = 1
        shared = 2 * (self._matrix @ vector) / (self._sizes + len(asked))
        near = np.argsort(-shared, kind="stable")[:_LOOKED_AT]
        allowed = 1 if len(word) <= 5 else 2
        found = [
            (distance(word, self._words[place], allowed), -shared[place], -self._weights[place], self._words[place])
            for place in near
            if shared[place] >= _LEAST_SHARED
        ]
        best = min((one for one in found if one[0] <= allowed), default=None)
        return best[3] if best else word


def distance(one: str, other: str, most: int) -> int:
    """Return the edits (insert, delete, replace, swap neighbours) from `one` to `other`; more than `most` is most + 1.

    Optimal string alignment (Damerau 1964; Levenshtein 1966).
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    line = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, above, line = line, before, [i]
        for j, wanted in enumerate(other, 1):
            edits = min(before[j] + 1, line[j - 1] + 1, before[j - 1] + (letter != wanted))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == wanted:
                edits = min(edits, above[j - 2] + 1)
            line.append(edits)
    return min(line[-1], most + 1)


def _grams(word: str) -> set[str]:
    framed = f"^{word}$"
    return {framed[at : at + size] for size in (2, 3) for at in range(len(framed) - size + 1)}

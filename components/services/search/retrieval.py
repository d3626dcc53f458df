"""From a query to candidates: by words, by meaning, by popularity, fused into one list that is nobody's own."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from components.core.errors import ContractBroken
from components.language.encoder import Vectors
from components.services.search.bundle import Bundle
from components.services.search.nearest import Nearest
from components.services.search.spelling import Spelling
from components.services.search.text import is_english, listed_terms, terms_of, words

FOUND = 100
"""Most candidates of a query."""

_STEPS = 20  # of more items than are kept, those within a twentieth of the best's score go by popularity
_LEAST_POPULAR = -12.0  # doublings: noise makes the popularity of what few buy as small as it likes

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Candidates:
    """What a query found, the best first, in arrays `(found,)`.

    Attributes:
        items: places in the bundle's catalogue.
        words: BM25 score over the best one's.
        meaning: cosine to the query; 0 where meaning was not compared.
        popular: popularity in doublings beside the most popular one, 0 or less, bounded below.
        fused: the floor's score, the weighted sum of the three.
        typed: the words that were looked for, corrected.
        corrected: whether one of them was typed otherwise.
        by_meaning: whether meaning was compared.
    """

    items: npt.NDArray[np.int64]
    words: Floats
    meaning: Floats
    popular: Floats
    fused: Floats
    typed: tuple[str, ...]
    corrected: bool
    by_meaning: bool

    def __len__(self) -> int:
        return len(self.items)


class Retrieval:
    """A bundle that can be searched. The lexical index is made anew from public texts, which takes a moment."""

    def __init__(self, bundle: Bundle) -> None:
        import bm25s

        logging.getLogger("bm25s").setLevel(logging.WARNING)  # its import sets DEBUG
        self.bundle = bundle
        self.terms = [listed_terms(text) for text in bundle.catalogue.texts]
        used = Counter(word for text in bundle.catalogue.texts for word in sorted(set(words(text))))
        self.spelling = Spelling(used.keys(), used.values())
        self._known_terms = {term for terms in self.terms for term in terms}
        # b is low: that a title is long says little about what it sells
        self._lexical = bm25s.BM25(k1=1.2, b=0.3) if self._known_terms else None
        if self._lexical is not None:
            self._lexical.index(self.terms, show_progress=False)
        self.popularity = np.log2(bundle.arrays["popularity"].astype(np.float64))

    @cached_property
    def vectors(self) -> Nearest | None:
        """What is searched by meaning."""
        arrays = self.bundle.arrays
        if self.bundle.config.encoder is None:
            return None
        return Nearest(arrays["vectors"], arrays.get("index"), effort=self.bundle.config.effort)  # type: ignore[arg-type]

    @cached_property
    def encoder(self) -> Any:
        """The encoder that made the vectors.

        Raises:
            ContractBroken: the one that is installed is another.
        """
        from components.language.encoder import encoder

        model = encoder()
        if model.digest != self.bundle.config.encoder:
            raise ContractBroken(
                "The sentence encoder is not the one that this bundle's items were encoded by",
                value=model.digest[:12],
                limit=str(self.bundle.config.encoder)[:12],
                next_step="Install the version in requirements.lock, or train again.",
            )
        return model

    def encode(self, queries: Collection[str], known: dict[str, Vectors]) -> None:
        """Add to `known` the vectors of the texts that are meant by the English ones of `queries`, where they are not
        there yet; each is encoded alone.
        """
        if self.bundle.config.encoder is None:
            return
        missing = sorted(
            {self._meant(query, self.spelt(query)) for query in queries if is_english(query, None)} - known.keys()
        )
        if missing:
            known.update(zip(missing, self.encoder.encode(missing), strict=True))

    def spelt(self, query: str) -> list[str]:
        """Return the query's words as the catalogue spells them."""
        return [word if set(terms_of(word)) <= self._known_terms else self.spelling.corrected(word)
                for word in words(query)]  # fmt: skip

    def candidates(
        self, query: str, known: Mapping[str, Vectors] | None = None, language: str | None = None
    ) -> Candidates:
        """Return what `query` finds, at most `FOUND`.

        Args:
            query: as it was typed.
            known: vectors by text, as `encode` adds them; what is not there is encoded.
            language: of the query; only English is compared by meaning. None goes by the script.
        """
        typed, spelt = words(query), self.spelt(query)
        lexical = self._lexical_scores([term for word in spelt for term in terms_of(word)])
        found = np.flatnonzero(lexical > 0)
        if len(found) > FOUND:
            order = np.lexsort((found, -self.popularity[found], -np.rint(lexical[found] * _STEPS)))
            found = found[order[:FOUND]]
        by_meaning = self.vectors is not None and is_english(query, language)
        if by_meaning:
            meant = self._meant(query, spelt)
            vector = known[meant] if known and meant in known else self.encoder.encode([meant])[0]
            assert self.vectors is not None
            near, cosines = self.vectors.search(vector, FOUND)
            found = np.union1d(found, near[cosines >= self.bundle.config.least_cosine])
            meaning = np.asarray(self.vectors.vectors[found], dtype=np.float32) @ vector
        else:
            meaning = np.zeros(len(found))
        return self._fused(found, lexical[found], meaning.astype(np.float64), tuple(spelt), typed != spelt, by_meaning)

    def _meant(self, query: str, spelt: list[str]) -> str:
        """Return the text that is encoded: a mistyped word has no meaning."""
        return query if words(query) == spelt else " ".join(spelt)

    def _lexical_scores(self, terms: list[str]) -> Floats:
        known = [term for term in terms if term in self._known_terms]
        if self._lexical is None or not known:
            return np.zeros(len(self.bundle.catalogue))
        scores = np.asarray(self._lexical.get_scores(known), dtype=np.float64)
        return scores / max(float(scores.max()), 1e-12)

    def _fused(
        self, found: npt.NDArray[np.int64], lexical: Floats, meaning: Floats, typed: tuple[str, ...], corrected: bool,
        by_meaning: bool,
    ) -> Candidates:  # fmt: skip
        fusion = self.bundle.config.fusion
        popular = self.popularity[found]
        popular = np.maximum(popular - popular.max(initial=-np.inf), _LEAST_POPULAR)
        fused = fusion.words * lexical + fusion.meaning * meaning + popular
        order = np.lexsort((found, -fused))[:FOUND]
        return Candidates(
            items=found[order],
            words=lexical[order],
            meaning=meaning[order],
            popular=popular[order],
            fused=fused[order],
            typed=typed,
            corrected=corrected,
            by_meaning=by_meaning,
        )

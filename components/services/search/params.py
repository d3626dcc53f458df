"""What a person may turn about search: `services.search` in params.yaml.

The defaults were found on the simulated shop alone, so that they cost no ε.
"""

from __future__ import annotations

from pydantic import Field

from components.core.params import Section


class FusionParams(Section):
    """How the ranked lists become one: Σ weight ÷ (constant + rank) (Cormack, Clarke and Büttcher 2009)."""

    constant: float = Field(60.0, gt=0)
    words: float = Field(1.0, ge=0)
    meaning: float = Field(0.25, ge=0)
    popularity: float = Field(0.25, ge=0)


class RerankerParams(Section):
    """The personal re-ranker and its DP-SGD."""

    candidates: int = Field(30, ge=2, le=100)
    """The best of the floor's list that are ordered again."""
    trust: float = Field(1.0, ge=0)
    """Weight of the floor's order before the first step, in logits a doubling of popularity."""
    learning_rate: float = Field(2.0, gt=0)
    steps: int = Field(60, ge=1)
    ceiling_steps: int = Field(300, ge=1)
    """Steps without privacy, where more of them cost nothing."""
    expected_batch_size: int = Field(512, ge=1)
    max_grad_norm: float = Field(0.5, gt=0)
    propensity: float = Field(0.0, ge=0, le=2)
    """η of how a place is looked at, place^−η; a click counts place^η. 0 believes that all places are looked at."""
    most_weight: float = Field(5.0, ge=1)
    """Most that a click at a low place counts, beside one at the first."""


class SearchParams(Section):
    """The whole of `services.search`."""

    dense: bool = True
    """Whether meaning is compared, by an encoder of English that takes 90 MB of memory."""
    least_cosine: float = Field(0.35, ge=0, le=1)
    """Below it an item is not found by its meaning."""
    approximate_above: int = Field(50_000, ge=1)
    """Items above which what is near in meaning is found by an approximate index."""
    effort: int = Field(800, ge=100)
    """Candidates that the approximate index keeps while it searches."""
    max_searches_per_user: int = Field(6, ge=1, le=100)
    """Latest searches of a user that are read."""
    max_history: int = Field(100, ge=0, le=1000)
    """Latest items of a user, before a search, that are read."""
    right_after_seconds: int = Field(60, ge=1)
    """A click or purchase that shows no position belongs to the search before it, if it follows within this."""
    phrases: int = Field(2000, ge=0)
    """Public phrases of the catalogue, of which the popular ones are released."""
    max_phrases_per_user: int = Field(5, ge=1)
    """Most phrases of a user that are counted."""
    fusion: FusionParams = FusionParams()
    reranker: RerankerParams = RerankerParams()

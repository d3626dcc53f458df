"""What a person may turn about search: `services.search` in params.yaml.

Weights of the fusion (`bench/search.py tune`) and learning rates, clipping and the prior of a history were chosen on
simulated shops of seeds 1 to 3, so that they cost no ε; all the rest is a choice by hand.
"""

from __future__ import annotations

from pydantic import Field

from components.core.params import Section


class FusionParams(Section):
    """How words, meaning and popularity become one score: their weighted sum, which on most collections is better than
    a sum over ranks (Bruch, Gai and Ingber 2023). In doublings of popularity, which has weight 1."""

    words: float = Field(15.0, ge=0)
    """Of BM25, over that of the query's best item."""
    meaning: float = Field(5.0, ge=0)
    """Of the cosine to the query, where it is compared: it orders what is found by meaning alone. In the simulated
    shop, whose queries share a word with what they are after, it gains nothing and costs .003 of ndcg@10."""


class RerankerParams(Section):
    """The personal re-ranker and its DP-SGD."""

    candidates: int = Field(30, ge=2, le=100)
    """The best of the floor's list that are ordered again."""
    trust: float = Field(1.0, gt=0)
    """Logits of what the floor's score counts as one."""
    learning_rate: float = Field(0.2, gt=0)
    steps: int = Field(60, ge=1)
    ceiling_steps: int = Field(300, ge=1)
    """Steps without privacy, where more of them cost nothing."""
    ceiling_learning_rate: float = Field(0.1, gt=0)
    """Of these: gradients that are not clipped to `max_grad_norm` are longer."""
    expected_batch_size: int = Field(512, ge=1)
    max_grad_norm: float = Field(0.5, gt=0)
    propensity: float = Field(0.0, ge=0, le=2)
    """η of how a place is looked at, place^−η; a click counts place^η. 0, which is no correction at all, believes that
    all places are looked at, as they are in the simulated shop; a real shop measures its η by shuffling some lists."""
    most_weight: float = Field(5.0, ge=1)
    """Most that a click at a low place counts, beside one at the first; without a propensity it is not used."""


class Augmentation(Section):
    """How queries are varied while the re-ranker is trained, within the row (`components.language.variations`)."""

    query_typos: float = Field(0.0, ge=0, le=1)
    """Chance of a typing error at each letter of a query that is learnt from."""


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
    augmentation: Augmentation = Augmentation()


GRID: dict[str, dict[str, list[float]]] = {
    "reranker": {
        "reranker.learning_rate": [0.1, 0.2, 0.4],
        "reranker.trust": [0.5, 1.0, 2.0],
        "reranker.max_grad_norm": [0.25, 0.5, 1.0],
    },
}
"""What a search for parameters tries: the defaults, with values around them. Those of the rows and of the floor, which
all trials share, are not among them; more steps would take their time."""

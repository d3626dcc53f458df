"""What a person may turn about the recommender: `services.recommend` in params.yaml.

The defaults were found on public and simulated data alone, so that they cost no ε.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from components.core.params import Section


class GramParams(Section):
    """The noisy Gram matrix and its free post-processing."""

    spread: float = Field(0.7, gt=0)
    """How far a pair's lift is believed to lie from that of its kind of kin (relative); less trusts less."""
    own: float = Field(0.2, ge=0)
    """Items of an average user ÷ pairs that they make; more than their true ratio damps what noise is left."""
    ridge: float = Field(10.0, gt=0)
    """λ of the regression, in users."""
    blend: float = Field(2.0, ge=0)
    """Items of history at which a user's own taste weighs as much as popularity."""
    hedge: float = Field(1500.0, ge=0)
    """How many more of them where the matrix is all noise: this many times the square of noise ÷ signal of its sum."""


class AutoencoderParams(Section):
    """The denoising autoencoder and its DP-SGD."""

    hidden: int = Field(128, ge=1)
    """Width of the code."""
    dropout: float = Field(0.5, gt=0, lt=1)
    """Chance with which an item of the input is hidden during training."""
    kinship: float = Field(2.5, ge=0)
    """How strongly the untrained decoder follows the taxonomy."""
    learning_rate: float = Field(1.0, gt=0)
    steps: int = Field(100, ge=1)
    ceiling_steps: int = Field(400, ge=1)
    """Steps without privacy, where more of them cost nothing."""
    expected_batch_size: int = Field(1024, ge=1)
    max_grad_norm: float = Field(1.0, gt=0)
    blend: float = Field(1.0, ge=0)
    """As for the Gram matrix."""


class Augmentation(Section):
    """How rows are varied while a model is trained, within the row (`components.training.augment`)."""

    item_dropout: float = Field(0.0, ge=0, lt=1)
    """Chance with which an item of a user is left out of a step, neither seen nor asked for. For the autoencoder: what
    is released once, as the Gram matrix is, reads each row once."""


Name = Literal["popularity", "gram", "autoencoder"]


class RecommendParams(Section):
    """The whole of `services.recommend`."""

    candidates: tuple[Name, ...] = ("popularity", "gram")
    """Who takes part in a training. What is not named is not trained, and costs nothing."""
    columns: int = Field(3000, ge=2)
    """Most columns of a personal model."""
    enough_categories: int = Field(100_000, ge=1)
    """With fewer categories than this, popular items get columns of their own; by default always."""
    max_items_per_user: int = Field(100, ge=1)
    """Most items of a user that are read; what `prepare` has already bounded is unchanged by the same bound."""
    gram: GramParams = GramParams()
    autoencoder: AutoencoderParams = AutoencoderParams()
    augmentation: Augmentation = Augmentation()

    @model_validator(mode="after")
    def _the_floor_takes_part(self) -> Self:
        if "popularity" not in self.candidates or len(set(self.candidates)) < len(self.candidates):
            raise ValueError("candidates must name popularity, on which the others build, and nobody twice")
        return self


GRID: dict[str, dict[str, list[float]]] = {
    "gram": {
        "gram.spread": [0.35, 0.7, 1.4],
        "gram.own": [0.1, 0.2, 0.4],
        "gram.ridge": [3.0, 10.0, 30.0],
        "gram.blend": [1.0, 2.0, 4.0],
        "gram.hedge": [500.0, 1500.0, 4500.0],
    },
    "autoencoder": {
        "autoencoder.learning_rate": [0.3, 1.0, 3.0],
        "autoencoder.dropout": [0.3, 0.5, 0.7],
        "autoencoder.kinship": [1.0, 2.5, 5.0],
        "augmentation.item_dropout": [0.0, 0.2],
    },
}
"""What a search tries: the defaults, with values around them."""

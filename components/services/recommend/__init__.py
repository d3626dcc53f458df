"""The service `recommend`: which items a customer may want next, from what they have taken so far.

Importing it needs no PyTorch: that comes with the autoencoder's training.
"""

from __future__ import annotations

from pathlib import Path

from components.core.service import Service
from components.services.recommend import api
from components.services.recommend.autoencoder import Autoencoder
from components.services.recommend.data import Catalogue, Rows, read_catalogue, read_rows
from components.services.recommend.exposure import EXPOSURE
from components.services.recommend.gram import Gram
from components.services.recommend.params import GRID, RecommendParams
from components.services.recommend.popularity import Popularity, needs
from components.services.recommend.scoring import METRICS, probe, score
from components.services.recommend.smaller import SMALLER

__all__ = ["SERVICE"]


def _rows(split: Path, public: Path, params: RecommendParams) -> Rows:
    catalogue = _catalogue(public, params)
    return read_rows(split / "interactions.parquet", catalogue, max_items_per_user=params.max_items_per_user)


def _catalogue(public: Path, params: RecommendParams) -> Catalogue:
    return read_catalogue(public / "items.parquet")


def _ceiling(train: Rows, test: Rows, catalogue: Catalogue, params: RecommendParams) -> dict[str, dict[str, float]]:
    from components.services.recommend.ceiling import ceiling

    return ceiling(train, test, catalogue, params)


SERVICE = Service(
    name="recommend",
    params=RecommendParams,
    metrics=METRICS,
    candidates={candidate.name: candidate for candidate in (Popularity(), Gram(), Autoencoder())},
    rows=_rows,
    catalogue=_catalogue,
    score=score,
    ceiling=_ceiling,
    load=api.load,
    predict=api.predict,
    request=api.Request,
    answer=api.Answer,
    example=api.EXAMPLE,
    probe=probe,
    exposure=EXPOSURE,
    story=api.story,
    floor_needs=needs,
    smaller=SMALLER,
    chosen=lambda params: params.candidates,
    grid=GRID,
)
"""What flows, gates, registry and serving know of it."""

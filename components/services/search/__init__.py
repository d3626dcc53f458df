"""The service `search`: products by what is typed, ordered by what this customer took before.

Importing it needs no PyTorch: that comes with the re-ranker's training.
"""

from __future__ import annotations

from pathlib import Path

from components.core.service import Service
from components.services.search import api
from components.services.search.data import Catalogue, Rows, read_catalogue, read_rows
from components.services.search.fused import Fused
from components.services.search.params import GRID, SearchParams
from components.services.search.reranker import Reranker
from components.services.search.scoring import METRICS, probe, score
from components.services.search.smaller import SMALLER

__all__ = ["SERVICE"]


def _rows(split: Path, public: Path, params: SearchParams) -> Rows:
    return read_rows(split / "activity.parquet", _catalogue(public, params), params)


def _catalogue(public: Path, params: SearchParams) -> Catalogue:
    return read_catalogue(public / "items.parquet")


def _ceiling(train: Rows, test: Rows, catalogue: Catalogue, params: SearchParams) -> dict[str, dict[str, float]]:
    from components.services.search.ceiling import ceiling

    return ceiling(train, test, catalogue, params)


SERVICE = Service(
    name="search",
    params=SearchParams,
    metrics=METRICS,
    candidates={candidate.name: candidate for candidate in (Fused(), Reranker())},
    rows=_rows,
    catalogue=_catalogue,
    score=score,
    ceiling=_ceiling,
    load=api.load,
    predict=api.predict,
    request=api.Request,
    answer=api.Answer,
    example=api.EXAMPLE,
    story=api.story,
    probe=probe,
    private=("activity",),
    method="GET",
    smaller=SMALLER,
    grid=GRID,
)
"""What flows, gates, registry and serving know of it."""

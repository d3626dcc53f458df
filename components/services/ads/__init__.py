"""The service `ads`: which ad to show, by bid times the probability of a click.

Importing it needs no PyTorch: that comes with the network's training.
"""

from __future__ import annotations

from pathlib import Path

from components.core.service import Service
from components.services.ads import api
from components.services.ads.data import Catalogue, Rows, read_catalogue, read_rows
from components.services.ads.network import Network
from components.services.ads.params import GRID, AdsParams
from components.services.ads.rates import Rates
from components.services.ads.scoring import HISTOGRAM, METRICS, probe, score
from components.services.ads.smaller import SMALLER

__all__ = ["SERVICE"]


def _rows(split: Path, public: Path, params: AdsParams) -> Rows:
    catalogue = _catalogue(public, params)
    return read_rows(
        split / "activity.parquet", catalogue, most=params.max_impressions_per_user, looks=params.max_looks_per_user
    )


def _catalogue(public: Path, params: AdsParams) -> Catalogue:
    return read_catalogue(public)


def _ceiling(train: Rows, test: Rows, catalogue: Catalogue, params: AdsParams) -> dict[str, dict[str, float]]:
    from components.services.ads.ceiling import ceiling

    return ceiling(train, test, catalogue, params)


SERVICE = Service(
    name="ads",
    params=AdsParams,
    metrics=METRICS,
    candidates={candidate.name: candidate for candidate in (Rates(), Network())},
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
    private=("activity",),
    public=("items", "ads"),
    histogram=HISTOGRAM,
    route="/v1/ads/rank",
    story=api.story,
    smaller=SMALLER,
    grid=GRID,
)
"""What flows, gates, registry and serving know of it."""

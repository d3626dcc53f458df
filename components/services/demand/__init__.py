"""The service `demand`: how much will be sold, by category, item and site, and how much to order.

Importing it needs no statsmodels: that comes with a forecast by state space.
"""

from __future__ import annotations

from pathlib import Path

from components.core.service import Service
from components.services.demand import api
from components.services.demand.data import Catalogue, read_catalogue
from components.services.demand.naive import Naive
from components.services.demand.params import GRID, DemandParams
from components.services.demand.rows import Rows, read_rows
from components.services.demand.scoring import METRICS, probe, score
from components.services.demand.statespace import StateSpace

__all__ = ["SERVICE"]


def _rows(split: Path, public: Path, params: DemandParams) -> Rows:
    return read_rows(split / "activity.parquet", read_catalogue(public, params), params)


def _ceiling(train: Rows, test: Rows, catalogue: Catalogue, params: DemandParams) -> dict[str, dict[str, float]]:
    from components.services.demand.ceiling import ceiling

    return ceiling(train, test, catalogue, params)


SERVICE = Service(
    name="demand",
    params=DemandParams,
    metrics=METRICS,
    candidates={candidate.name: candidate for candidate in (Naive(), StateSpace())},
    rows=_rows,
    catalogue=read_catalogue,
    score=score,
    ceiling=_ceiling,
    load=api.load,
    predict=api.predict,
    request=api.Request,
    answer=api.Answer,
    example=api.EXAMPLE,
    probe=probe,
    private=("activity",),
    public=("items", "ads", "calendar", "shares"),
    method="GET",
    story=api.story,
    grid=GRID,
)
"""What flows, gates, registry and serving know of it."""

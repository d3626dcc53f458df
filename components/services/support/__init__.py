"""The service `support`: what a customer's message is about, and an answer from what the shop itself has written.

Importing it needs no PyTorch: that comes with the head's training.
"""

from __future__ import annotations

from pathlib import Path

from components.core.service import Service
from components.services.support import api
from components.services.support.data import Catalogue, Rows, read_catalogue, read_rows
from components.services.support.head import Head
from components.services.support.params import GRID, SupportParams
from components.services.support.prior import Prior
from components.services.support.scoring import METRICS, histogram, probe, score
from components.services.support.smaller import SMALLER

__all__ = ["SERVICE"]


def _rows(split: Path, public: Path, params: SupportParams) -> Rows:
    return read_rows(split / "messages.parquet", params)


def _catalogue(public: Path, params: SupportParams) -> Catalogue:
    return read_catalogue(public / "items.parquet", params)


def _ceiling(train: Rows, test: Rows, catalogue: Catalogue, params: SupportParams) -> dict[str, dict[str, float]]:
    from components.services.support.ceiling import ceiling

    return ceiling(train, test, catalogue, params)


SERVICE = Service(
    name="support",
    params=SupportParams,
    metrics=METRICS,
    candidates={candidate.name: candidate for candidate in (Prior(), Head())},
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
    private=("messages",),
    histogram=histogram(SupportParams()),
    histogram_of=histogram,
    route="/v1/support/answer",
    story=api.story,
    smaller=SMALLER,
    grid=GRID,
    made_up=lambda params: [] if params.policies else ["policies"],
)
"""What flows, gates, registry and serving know of it."""

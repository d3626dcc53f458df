"""Smaller forms of a recommender, and simulated people on whom they are compared."""

from __future__ import annotations

from components.core.service import Smaller
from components.services import bundles
from components.services.recommend.distilled import distilled
from components.services.recommend.simulated import simulated

SMALLER = Smaller(ways={"int8": bundles.as_int8, "distilled": distilled}, simulated=simulated)

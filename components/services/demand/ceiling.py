"""What is reached without privacy: a yardstick, for public sources only. Nothing here can be registered."""

from __future__ import annotations

from functools import partial

import numpy as np

from components.services.demand.data import Catalogue
from components.services.demand.naive import naive
from components.services.demand.params import DemandParams
from components.services.demand.release import unnoised
from components.services.demand.rows import Rows
from components.services.demand.scoring import METRICS, back_test, lines
from components.services.demand.statespace import state_space


def ceiling(train: Rows, test: Rows, catalogue: Catalogue, params: DemandParams) -> dict[str, dict[str, float]]:
    """Return un-noised mean metrics on `test`, and those of `probe`, of both forecasts from un-noised units."""
    known = unnoised(train)
    found = {}
    for name, make in (("naive", naive), ("state_space", partial(state_space, params=params.state_space))):
        bundle = make(known, catalogue, max(len(train), 1))
        means = lines(bundle, test).mean(axis=0) if len(test) else np.zeros(len(METRICS))
        of_users = {metric.name: float(mean) for metric, mean in zip(METRICS, means, strict=True)}
        found[name] = of_users | back_test(bundle)
    return found

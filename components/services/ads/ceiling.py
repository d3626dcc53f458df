"""What is reached without privacy: a yardstick, for public sources only. Nothing here can be registered."""

from __future__ import annotations

import numpy as np

from components.services.ads import pairs, rates
from components.services.ads.bundle import Bundle
from components.services.ads.data import Catalogue, Rows, looks_of
from components.services.ads.network import train
from components.services.ads.params import AdsParams
from components.services.ads.scoring import METRICS, figures_of, histogram_lines, lines


def ceiling(train_rows: Rows, test: Rows, catalogue: Catalogue, params: AdsParams) -> dict[str, dict[str, float]]:
    """Return un-noised metrics on `test` without privacy: the rates, and the network on top of them."""
    floor = true_rates(train_rows, params)
    network, _ = train(train_rows, floor, params.network, plan=None)
    return {name: told(bundle, test) for name, bundle in (("rates", floor), ("network", network))}


def true_rates(rows: Rows, params: AdsParams) -> Bundle:
    """Return the floor without noise."""
    plan = rates.Rates().plan(mu=1.0, delta=0.0, population=0, params=params, floor=None)
    summed = np.asarray(rates.parts(rows).sum(axis=0), dtype=np.float64).ravel()
    beside = pairs.statistic(pairs.held(looks_of(rows), pairs.columns(rows.catalogue, params.pairs.columns)))
    part = params.pairs.share
    return rates.bundle_of(summed * np.sqrt(1 - part), beside * np.sqrt(part), 0.0, plan, rows.catalogue)


def told(bundle: Bundle, test: Rows) -> dict[str, float]:
    """Return the un-noised metrics of a bundle."""
    means = lines(bundle, test).mean(axis=0)
    derived = figures_of(histogram_lines(bundle, test).mean(axis=0))
    return {metric.name: float(mean) for metric, mean in zip(METRICS, means, strict=True)} | derived

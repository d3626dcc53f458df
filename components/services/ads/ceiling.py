"""What is reached without privacy: a yardstick, for public sources only. Nothing here can be registered."""

from __future__ import annotations

import numpy as np

from components.services.ads import rates
from components.services.ads.bundle import Bundle, Config
from components.services.ads.data import Catalogue, Rows
from components.services.ads.network import train
from components.services.ads.params import AdsParams
from components.services.ads.scoring import METRICS, figures_of, histogram_lines, lines


def ceiling(train_rows: Rows, test: Rows, catalogue: Catalogue, params: AdsParams) -> dict[str, dict[str, float]]:
    """Return un-noised metrics on `test` without privacy: the rates, and the network on top of them."""
    floor = true_rates(train_rows, params)
    network, _ = train(train_rows.matrix, floor, params.network, plan=None)
    return {name: told(bundle, test) for name, bundle in (("rates", floor), ("network", network))}


def true_rates(rows: Rows, params: AdsParams) -> Bundle:
    """Return the floor without noise."""
    summed = np.asarray(rates.parts(rows).sum(axis=0), dtype=np.float64).ravel()
    config = Config(kind="rates", frequency_cap=params.frequency_cap)
    return Bundle(config, rates.logits(summed, rows.catalogue, 0.0), rows.catalogue)


def told(bundle: Bundle, test: Rows) -> dict[str, float]:
    """Return the un-noised metrics of a bundle."""
    means = lines(bundle, test).mean(axis=0)
    derived = figures_of(histogram_lines(bundle, test).mean(axis=0))
    return {metric.name: float(mean) for metric, mean in zip(METRICS, means, strict=True)} | derived

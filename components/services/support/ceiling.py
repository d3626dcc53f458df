"""What is reached without privacy: a yardstick, for public sources only. Nothing here can be registered."""

from __future__ import annotations

from components.services.support import prior
from components.services.support.bundle import Bundle
from components.services.support.data import Catalogue, Rows
from components.services.support.head import train
from components.services.support.params import SupportParams
from components.services.support.scoring import METRICS, figures_of, histogram_lines, lines


def ceiling(train_rows: Rows, test: Rows, catalogue: Catalogue, params: SupportParams) -> dict[str, dict[str, float]]:
    """Return un-noised metrics on `test` without privacy: the counts, and the head on top of them."""
    floor = prior.bundle_of(catalogue, params, prior.parts(train_rows).sum(axis=0), 0.0)
    head, _ = train(train_rows, floor, params.head, plan=None, augmentation=params.augmentation)
    return {name: told(bundle, test) for name, bundle in (("prior", floor), ("head", head))}


def told(bundle: Bundle, test: Rows) -> dict[str, float]:
    """Return the un-noised metrics of a bundle."""
    means = lines(bundle, test).mean(axis=0)
    derived = figures_of(histogram_lines(bundle, test).mean(axis=0))
    return {metric.name: float(mean) for metric, mean in zip(METRICS, means, strict=True)} | derived

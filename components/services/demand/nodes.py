"""From a bundle to the demand for anything that can be asked for: all, a category at any level, an item; at a site."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.core.errors import Unanswerable
from components.services.demand.bundle import Bundle
from components.services.demand.data import ELSEWHERE, Floats


@dataclass(frozen=True)
class Node:
    """What is asked for, as a part of each series.

    Attributes:
        label: what it is, in the catalogue's words.
        parts: `(categories + sites,)` share of each series' units that is meant, bounded units made whole by the lift
            and from the users who were trained on to all.
        doubt: relative variance of the item shares in it; 0 for whole categories.
    """

    label: str
    parts: Floats
    doubt: float


@dataclass(frozen=True)
class Demand:
    """Units of a node: `(weeks ahead,)` means, and the variance of any weighing of the weeks."""

    bundle: Bundle
    node: Node

    @property
    def mean(self) -> Floats:
        """Units a week."""
        return np.asarray(self.bundle.future.mean @ self.node.parts)

    def of(self, weights: Floats) -> tuple[float, float]:
        """Return mean and deviation of Σ_k `weights`_k · (units of week k).

        A small part of a series is less regular than the series: what is irregular about it is that of counted pieces,
        so it shrinks with the part and not with its square.
        """
        mean = float(weights @ self.mean)
        parts, forecast = self.node.parts, self.bundle.future
        together = float(parts @ forecast.covariance(weights) @ parts)
        pieces = float(np.maximum(parts - parts**2, 0) @ np.diag(forecast.irregular)) * float(weights.sum())
        return mean, float(np.sqrt(max(together + pieces + self.node.doubt * mean**2 + self.of_lift(weights), 0.0)))

    def of_lift(self, weights: Floats) -> float:
        """Return what of the variance is owed to how far the factors for what no bound left are known."""
        lift = self.bundle.lift
        units = (weights @ self.bundle.future.mean * self.node.parts)[: len(lift.own)]
        return float(units**2 @ lift.own + lift.common * units.sum() ** 2)


def node_of(bundle: Bundle, *, category: str | None, item: str | None, site: str | None) -> Node:
    """Return what is asked for.

    Raises:
        Unanswerable: the version does not know the category, the item or the site.
    """
    config = bundle.config
    if item is not None:
        if item not in bundle.position:
            raise _unknown("item", len(bundle.position), "items")
        place = bundle.position[item]
        inside, label = np.arange(len(bundle.of_item)) == place, bundle.table["title"][place].as_py() or item
    elif category is not None:
        below = category.rstrip("/") + "/"
        inside = (bundle.paths == category) | np.strings.startswith(bundle.paths, below)
        if not inside.any():
            raise _unknown("category", len(config.categories), "categories of its level")
        label = category
    else:
        inside, label = np.ones(len(bundle.of_item), dtype=bool), "everything"
    share = np.bincount(bundle.of_item, weights=bundle.within * inside, minlength=len(config.categories))
    parts = np.concatenate([share * bundle.lift.factor / config.train, np.zeros(len(config.sites))])
    doubt = _doubt(bundle, inside, share)
    if site is not None:
        if site not in config.sites or site == ELSEWHERE:
            raise _unknown("site", len(config.sites) - 1, "sites")
        parts, label = parts * _at(bundle, config.sites.index(site)), f"{label}, at {site}"
    return Node(label, parts, doubt)


def _at(bundle: Bundle, site: int) -> float:
    """Return the site's share of the next weeks' units; every category is held to have the same."""
    sites = bundle.future.mean[:, len(bundle.config.categories) :].sum(axis=0)
    return float(sites[site] / max(sites.sum(), 1e-9))


def _doubt(bundle: Bundle, inside: Floats, share: Floats) -> float:
    """Return the relative variance that noise on the items' totals leaves in the share of a part of a category."""
    cut = (share > 0) & (share < 1 - 1e-9)
    members = inside & cut[bundle.of_item]
    if not members.any():
        return 0.0
    sigma = bundle.config.sigma["items"]
    sold = max(float(np.maximum(bundle.released.parts["items"][members].sum(), 0)), sigma)
    return float(min(members.sum() * sigma**2 / sold**2, 4.0))


def _unknown(field: str, known: int, what: str) -> Unanswerable:
    return Unanswerable(
        f"This version knows no such {field}",
        limit=f"{known} {what}",
        next_step="Name one of the catalogue it was trained on."
        if field != "site"
        else "Name one of services.demand.sites.",
        field=field,
    )

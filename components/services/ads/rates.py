"""The floor: DP click rates by ad, and by place within a placement; the same answer for everyone.

One Gaussian release of two parts side by side. The first has four histograms: impressions and clicks by ad, impressions
and clicks by placement and position; each user's part is clipped to L2 norm `BOUND` as a whole and divided by it. The
second, which is no part of the floor's own answer, counts what is looked at together (`pairs`): it is paid for here,
since what the floor has released may be used freely by whoever builds on it. With weights √(1 − p) and √p of the two a
user moves the whole by at most 1.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import sparse

from components.core.params import PerformanceFlags
from components.core.progress import Progress, no_progress
from components.privacy import mechanisms
from components.privacy.canaries import Canaries
from components.privacy.release import Gaussian
from components.services.ads import pairs
from components.services.ads.bundle import Arrays, Bundle, Config, write_bundle
from components.services.ads.data import AD, CLICKED, POSITION, Catalogue, Floats, Matrix, Rows, impressions, looks_of
from components.services.ads.features import POSITIONS, placements, positions
from components.services.ads.params import AdsParams, PairsParams

BOUND = 1.5
SCALES = (0.15, 1.0, 0.03, 0.3)
"""Of the four histograms: clicks are few and tell most; places are few and hold much."""
_MOST = 2.0  # how far a rate may lie from the mean, in its logit


class RatesPlan(BaseModel):
    """Everything that shapes the floor's release."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    noise_multiplier: float = Field(gt=0)
    frequency_cap: int
    pairs: PairsParams
    looks: int
    sensitivity: float = 1.0
    """One user adds a vector of L2 norm at most 1, or nothing."""

    @property
    def event(self) -> Gaussian:
        """What the accountants compose."""
        return Gaussian(noise_multiplier=self.noise_multiplier)


def parts(rows: Rows) -> Matrix:
    """Return each user's part, `(users, 2 · ads + 2 · places)`, of L2 norm at most 1: private."""
    owner, cells = impressions(rows)
    ads, places = len(rows.catalogue), len(placements(rows.catalogue)[0]) * POSITIONS
    ad = cells[:, AD].astype(np.int64) - 1
    place = placements(rows.catalogue)[1][ad] * POSITIONS + positions(cells[:, POSITION])
    clicked = cells[:, CLICKED] > 0
    starts = np.cumsum([0, ads, ads, places, places])
    columns = (ad, ad[clicked], place, place[clicked])
    owners = (owner, owner[clicked], owner, owner[clicked])
    values = np.repeat(SCALES, [len(column) for column in columns])
    column = np.concatenate([start + column for start, column in zip(starts[:-1], columns, strict=True)])
    whole = sparse.csr_array((values, (np.concatenate(owners), column)), shape=(len(rows), starts[-1]))
    norms = np.sqrt(np.asarray(whole.power(2).sum(axis=1))).ravel()
    scale = sparse.diags_array(1 / np.maximum(norms, BOUND))
    return sparse.csr_array(scale @ whole)


def logits(noised: Floats, catalogue: Catalogue, sigma: float) -> Arrays:
    """Return the logit of a click by ad, `(ads,)`, and what each place adds to it, `(placements, POSITIONS)`.

    Rates are shrunk to the mean (of the placement, for a place) by as many clicks as the noise hides, and two more.
    """
    names, _ = placements(catalogue)
    ads, places = len(catalogue), len(names) * POSITIONS
    shown, clicks, shown_at, clicks_at = np.split(noised * BOUND, np.cumsum([ads, ads, places]))
    shown, clicks, shown_at, clicks_at = (
        part / scale for part, scale in zip((shown, clicks, shown_at, clicks_at), SCALES, strict=True)
    )
    hidden = [2 + 2 * sigma * BOUND / scale for scale in (SCALES[1], SCALES[3])]
    rate = float(np.clip((clicks.sum() + 1) / max(shown.sum() + 2, 1.0), 1e-4, 0.5))
    by_ad = np.log(_ratio(clicks, shown, rate, hidden[0]))
    at = [part.reshape(len(names), POSITIONS) for part in (shown_at, clicks_at)]
    many = 100 * hidden[1]  # impressions, so many of the mean rate beside those of a placement
    inside = (np.maximum(at[1].sum(axis=1), 0) + many * rate) / (np.maximum(at[0].sum(axis=1), 0) + many)
    by_place = np.log(_ratio(at[1], at[0], inside[:, None], hidden[1]))
    base = np.log(rate / (1 - rate))
    return {
        "ad": (base + np.clip(by_ad, -_MOST, _MOST)).astype(np.float32),
        "place": np.clip(by_place, -_MOST, _MOST).astype(np.float32),
    }


def _ratio(clicks: Floats, shown: Floats, rate: Floats | float, hidden: float) -> Floats:
    """Return observed over expected clicks, both with `hidden` clicks of the mean rate beside them."""
    expected = np.maximum(shown, 0) * rate
    return np.asarray((np.maximum(clicks, 0) + hidden) / (expected + hidden))


class Rates:
    """The candidate, see the module."""

    name = "rates"
    personal = False
    share = 0.7
    modules = (
        __name__,
        "components.services.ads.data",
        "components.services.ads.features",
        "components.services.ads.order",
        "components.services.ads.pairs",
        "components.services.bundles",
        "components.services.ads.bundle",
        "components.privacy.canaries",
        "components.privacy.mechanisms",
    )

    def plan(self, *, mu: float, delta: float, population: int, params: AdsParams, floor: Path | None) -> RatesPlan:
        """Return the release at μ: σ = sensitivity ÷ μ."""
        return RatesPlan(
            noise_multiplier=1 / mu,
            frequency_cap=params.frequency_cap,
            pairs=params.pairs,
            looks=params.max_looks_per_user,
        )

    def at_noise(self, plan: RatesPlan, noise_multiplier: float) -> RatesPlan:
        """Return the same plan with another noise."""
        return plan.model_copy(update={"noise_multiplier": noise_multiplier})

    def fit(
        self,
        rows: Rows,
        plan: RatesPlan,
        catalogue: Catalogue,
        *,
        floor: Path | None,
        intend: Callable[[int], None],
        out: Path,
        telemetry: Path | None = None,
        canaries: Canaries | None = None,
        flags: PerformanceFlags | None = None,
        progress: Progress = no_progress,
    ) -> Gaussian:
        """Release the rates and write the bundle."""
        intend(1)
        part, mine = plan.pairs.share, parts(rows)
        of_item = pairs.columns(rows.catalogue, plan.pairs.columns)
        beside = pairs.statistic(pairs.held(looks_of(rows), of_item))
        whole = canaries.as_items(mine * np.sqrt(1 - part)) if canaries else mine * np.sqrt(1 - part)
        first = np.asarray(whole.sum(axis=0), dtype=np.float64).ravel()
        vector = np.concatenate([beside * np.sqrt(part), first])
        noised = mechanisms.noised_sum(vector, plan.sensitivity, plan.noise_multiplier)
        beside, rates, reserved = np.split(noised, [len(beside), len(beside) + mine.shape[1]])
        if canaries:
            canaries.observe(reserved / plan.sensitivity)
        bundle = bundle_of(rates, beside, plan.sensitivity * plan.noise_multiplier, plan, catalogue)
        write_bundle(out, bundle)
        return plan.event


def bundle_of(rates: Floats, beside: Floats, sigma: float, plan: RatesPlan, catalogue: Catalogue) -> Bundle:
    """Return the floor of the two noised parts, `sigma` being the noise on each entry of the whole."""
    share = plan.pairs.share
    of_item = pairs.columns(catalogue, plan.pairs.columns)
    clicks = logits(rates / np.sqrt(1 - share), catalogue, sigma / np.sqrt(1 - share))
    together = pairs.log_lifts(beside / np.sqrt(share), sigma / np.sqrt(share), int(of_item.max()) + 1)
    config = Config(kind="rates", frequency_cap=plan.frequency_cap, looks=plan.looks)
    return Bundle(config, {**clicks, "column": of_item.astype(np.int32), "pairs": together}, catalogue)

"""What the shop's backend asks and is told."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from components.services.ads.bundle import Bundle
    from components.services.ads.data import Integers, Shown

MOST_HISTORY = 1000
MOST_ADS = 100
MOST_CAMPAIGNS = 1000
REASONS = 3

Name = Annotated[str, Field(max_length=200)]
Pace = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Request(BaseModel):
    """One user's history, where and when an ad is to be shown, and how the campaigns are paced."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    history: list[Name] = Field(default_factory=list, max_length=MOST_HISTORY)
    """Items that the user looked at or bought, the latest last; what the catalogue does not know is counted."""
    shown: list[Name] = Field(default_factory=list, max_length=MOST_HISTORY)
    """Ads that this user was shown in the period that the frequency cap is for, each time once."""
    placement: Name | None = None
    """Rank only ads of this placement."""
    at: AwareDatetime | None = None
    """When it is shown: ads that are not booked then are left out. Without it all are ranked, at no particular hour."""
    pacing: dict[Name, Pace] = Field(default_factory=dict, max_length=MOST_CAMPAIGNS)
    """By campaign, what its rank is multiplied by: from budgets and counters of the shop, which know of no user."""
    k: int = Field(10, ge=1, le=MOST_ADS)


class Reason(BaseModel):
    """What a score owes to one thing: so much of the logit, beyond that of an ad and a user that are unknown."""

    model_config = ConfigDict(frozen=True)

    feature: str
    logit: float


class Ranked(BaseModel):
    """One ad."""

    model_config = ConfigDict(frozen=True)

    ad: str
    item: str | None
    campaign: str | None
    placement: str | None
    bid: int
    """Minor units a click."""
    probability: float
    """Of a click, were it shown in the first position."""
    value: float
    """bid · probability · pacing, in minor units: what it is ranked by."""
    reasons: list[Reason]
    """The largest contributions first."""


class Answer(BaseModel):
    """The most valuable ads first; fewer than k where no more are booked, or the user has seen them often enough."""

    model_config = ConfigDict(frozen=True)

    ads: list[Ranked]
    capped: int
    """Ads that were left out by the frequency cap."""
    unknown: int
    """Items, ads and campaigns of the request that the bundle does not know."""
    model_version: str | None = None
    epsilon: float | None = None


EXAMPLE = {"history": [], "shown": [], "k": 5}


def load(folder: Path) -> Bundle:
    """Read a bundle whole into memory."""
    from components.services.ads.bundle import read_bundle

    return read_bundle(folder)


def predict(bundle: Bundle, request: Request) -> Answer:
    """Return ads by bid × probability × pacing, without those that this user has seen `frequency_cap` times.

    Everything that is personal comes with the request; pacing and bids are the same for everybody.
    """
    from collections import Counter

    import numpy as np

    from components.services.ads.data import Shown
    from components.services.ads.forward import contributions, logits

    catalogue, cap = bundle.catalogue, bundle.config.frequency_cap
    seen = Counter(request.shown)
    capped = [ad for ad, times in seen.items() if times >= cap and ad in catalogue.place]
    open_ = _open(bundle, request)
    capped_here = [ad for ad in capped if open_[catalogue.place[ad]]]
    open_[[catalogue.place[ad] for ad in capped]] = False
    ads = np.flatnonzero(open_)
    shown = _shown(bundle, request, ads)
    probability = 1 / (1 + np.exp(-logits(bundle, shown)))
    bid = np.array([bid or 0 for bid in catalogue.ads["bid"].to_pylist()], dtype=np.float64)[ads]
    campaigns = catalogue.ads["campaign"].to_pylist()
    pace = np.array([request.pacing.get(campaigns[ad] or "", 1.0) for ad in ads])
    value = bid * probability * pace
    best = np.lexsort((ads, -value))[: request.k]
    names, parts = contributions(bundle, Shown(shown.owner[best], shown.cells[best], shown.looks))
    known = {*campaigns}
    return Answer(
        ads=[
            Ranked(
                ad=catalogue.names[ads[place]],
                item=catalogue.ads["item"][int(ads[place])].as_py(),
                campaign=campaigns[ads[place]],
                placement=catalogue.ads["placement"][int(ads[place])].as_py(),
                bid=int(bid[place]),
                probability=float(probability[place]),
                value=float(value[place]),
                reasons=[
                    Reason(feature=names[column], logit=float(parts[line, column]))
                    for column in np.argsort(-np.abs(parts[line]), kind="stable")[:REASONS]
                    if parts[line, column] != 0
                ],
            )
            for line, place in enumerate(best)
        ],
        capped=len(capped_here),
        unknown=sum(item not in catalogue.leaf_of_item for item in request.history)
        + sum(ad not in catalogue.place for ad in request.shown)
        + sum(name not in known for name in request.pacing),
    )


def _open(bundle: Bundle, request: Request):  # type: ignore[no-untyped-def]
    """Return which ads may be shown by placement and booking: `(ads,)`."""
    import numpy as np

    ads = bundle.catalogue.ads
    found = np.ones(len(bundle.catalogue), dtype=bool)
    if request.placement is not None:
        found &= np.array([place == request.placement for place in ads["placement"].to_pylist()], dtype=bool)
    if request.at is not None:
        found &= np.array(
            [
                (starts is None or starts <= request.at) and (ends is None or request.at < ends)
                for starts, ends in zip(ads["starts"].to_pylist(), ads["ends"].to_pylist(), strict=True)
            ],
            dtype=bool,
        )
    return found


def _shown(bundle: Bundle, request: Request, ads: Integers) -> Shown:
    """Return an impression of each of `ads` in the first position, to a user of this history."""
    import numpy as np

    from components.services.ads.data import AD, BEFORE, HOUR, POSITION, SLOTS, Looks, Shown, hour_of_week

    known = bundle.catalogue.items_place
    latest = list(dict.fromkeys(item for item in reversed(request.history) if item in known))[: bundle.config.looks]
    looked = np.array([known[item] for item in reversed(latest)], np.int64)
    cells = np.zeros((len(ads), SLOTS), np.float32)
    cells[:, AD], cells[:, POSITION], cells[:, BEFORE] = ads + 1, 1, len(looked)
    if request.at is not None:
        cells[:, HOUR] = 1 + int(hour_of_week(np.int64(_seconds(request.at))))  # type: ignore[arg-type]
    return Shown(np.zeros(len(ads), np.int64), cells, Looks(np.array([0, len(looked)]), looked))


def _seconds(at: datetime) -> int:
    return int(at.timestamp() // 1)

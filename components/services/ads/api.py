"""What the shop's backend asks and is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from components.core.errors import Unanswerable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from components.services.ads.bundle import Bundle
    from components.services.ads.data import Floats, Integers, Shown

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
    """By campaign, what its rank is multiplied by, 0 where its budget is spent: from counters that know of no user."""
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
    rest: float
    """What the reasons leave of the logit of `probability`: that of an ad and a user that are unknown, and all smaller
    contributions. With it they add up to the logit."""


class Answer(BaseModel):
    """The most valuable ads first; fewer than k where no more are booked, or the user has seen them often enough."""

    model_config = ConfigDict(frozen=True)

    ads: list[Ranked]
    capped: int
    """Ads that are booked and were left out by the frequency cap."""
    unknown: int
    """Items and ads of the request that the bundle does not know."""
    model_version: int | None = None
    epsilon: float | None = None


EXAMPLE = {"history": [], "shown": [], "k": 5}


def load(folder: Path) -> Bundle:
    """Read a bundle whole into memory."""
    from components.services.ads.bundle import read_bundle

    return read_bundle(folder)


def predict(bundle: Bundle, request: Request) -> Answer:
    """Return ads by bid × probability × pacing, without those that this user has seen `frequency_cap` times.

    Everything that is personal comes with the request; pacing and bids are the same for everybody.

    Raises:
        Unanswerable: there is no such placement, or no such campaign to be paced.
    """
    from collections import Counter

    import numpy as np

    from components.services.ads.data import Shown
    from components.services.ads.forward import contributions, logits

    catalogue, cap = bundle.catalogue, bundle.config.frequency_cap
    pace = _pace(bundle, request)
    open_ = _open(bundle, request) & (pace > 0)
    often = [
        catalogue.place[ad] for ad, times in Counter(request.shown).items() if times >= cap and ad in catalogue.place
    ]
    capped = int(open_[often].sum())
    open_[often] = False
    ads = np.flatnonzero(open_)
    shown = _shown(bundle, request, ads)
    logit = logits(bundle, shown)
    probability = 1 / (1 + np.exp(-logit))
    value = catalogue.bids[ads] * probability * pace[ads]
    best = np.lexsort((ads, -value))[: request.k]
    names, parts = contributions(bundle, Shown(shown.owner[best], shown.cells[best], shown.looks))
    reasons = [_reasons(names, part) for part in parts]
    return Answer(
        ads=[
            Ranked(
                ad=catalogue.names[ad],
                item=catalogue.ads["item"][int(ad)].as_py(),
                campaign=catalogue.campaigns[ad],
                placement=catalogue.places[ad],
                bid=int(catalogue.bids[ad]),
                probability=float(probability[place]),
                value=float(value[place]),
                reasons=reasons[line],
                rest=float(logit[place]) - sum(reason.logit for reason in reasons[line]),
            )
            for line, (place, ad) in enumerate(zip(best, ads[best], strict=True))
        ],
        capped=capped,
        unknown=sum(item not in catalogue.leaf_of_item for item in request.history)
        + sum(ad not in catalogue.place for ad in request.shown),
    )


def story(ask: Callable[[Mapping[str, Any]], dict[str, Any]]) -> list[str]:
    """Return what nobody in particular is shown, what somebody with a history is, and why, as lines of text."""
    first = ask({"k": 3})["ads"]
    history = [ad["item"] for ad in ask({"k": 30})["ads"][10:] if ad["item"]][:5]
    ours = ask({"history": history, "k": 3})
    often = ask({"history": history, "shown": [ours["ads"][0]["ad"]] * 100, "k": 1}) if ours["ads"] else {"ads": []}
    return [
        "Somebody of whom nothing is known",
        *map(_line, first),
        f"Somebody who looked at {', '.join(history) or 'nothing'}",
        *map(_line, ours["ads"]),
        "and once they have seen the first of these often enough",
        *map(_line, often["ads"]),
        f"(version {ours['model_version']}, ε = {ours['epsilon']:.3g})",
    ]


def _line(ad: Mapping[str, Any]) -> str:
    because = ", ".join(f"{reason['feature']} {reason['logit']:+.2f}" for reason in ad["reasons"])
    return f"  {ad['ad']}: {ad['bid']} × {ad['probability']:.1%} = {ad['value']:.2f} ({because})"


def _reasons(names: Sequence[str], parts: Floats) -> list[Reason]:
    largest = sorted(range(len(names)), key=lambda column: -abs(parts[column]))[:REASONS]
    return [Reason(feature=names[column], logit=float(parts[column])) for column in largest if parts[column] != 0]


def _pace(bundle: Bundle, request: Request) -> Floats:
    """Return what each ad's campaign is paced by: `(ads,)`."""
    import numpy as np

    campaigns = bundle.catalogue.campaigns
    if not {*request.pacing} <= {*campaigns}:
        raise Unanswerable(
            "This version knows no such campaign", field="pacing", next_step="Pace campaigns of the ads it was made on."
        )
    return np.array([request.pacing.get(name, 1.0) if name is not None else 1.0 for name in campaigns])


def _open(bundle: Bundle, request: Request) -> npt.NDArray[np.bool_]:
    """Return which ads may be shown by placement and booking: `(ads,)`."""
    import numpy as np

    catalogue = bundle.catalogue
    found = np.ones(len(catalogue), dtype=bool)
    if request.placement is not None:
        found &= np.array([place == request.placement for place in catalogue.places], dtype=bool)
        if not found.any():
            raise Unanswerable(
                "This version knows no such placement",
                field="placement",
                next_step="Ask for one that its ads are booked for.",
            )
    if (at := request.at) is not None:
        bounds = zip(catalogue.ads["starts"].to_pylist(), catalogue.ads["ends"].to_pylist(), strict=True)
        found &= np.array([(not begun or begun <= at) and (not over or at < over) for begun, over in bounds], bool)
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
        cells[:, HOUR] = 1 + int(hour_of_week(np.array([request.at.timestamp() // 1], np.int64))[0])
    return Shown(np.zeros(len(ads), np.int64), cells, Looks(np.array([0, len(looked)]), looked))

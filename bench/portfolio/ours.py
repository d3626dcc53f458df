"""The candidates of the service, each with all of μ but the popularity that it starts from."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from components.core.service import Candidate, find
from components.services.recommend.bundle import Bundle, read_bundle
from components.services.recommend.data import Rows
from components.services.recommend.params import RecommendParams
from components.services.recommend.scoring import Scorer, scores


def starts(train: Rows, mu: float) -> float:
    """Return the share of μ² that a personal mechanism gives to popularity, as the service divides it."""
    return find("recommend").taking_part(params(train)).shares(mu, len(train), train.catalogue)["popularity"]


def popularity(train: Rows, mu: float, scratch: Path) -> Scorer:
    """Return the floor with all of μ."""
    return scorer(floor(train, mu, scratch)[1])


def gram(train: Rows, mu: float, scratch: Path, *, spread: float | None = None, columns: int | None = None) -> Scorer:
    """Return the noisy Gram matrix; with hardly any spread, what its prior alone makes of it."""
    options = params(train, columns)
    if spread is not None:
        options = options.model_copy(update={"gram": options.gram.model_copy(update={"spread": spread})})
    return _personal("gram", options, train, mu, scratch)


def autoencoder(train: Rows, mu: float, scratch: Path) -> Scorer:
    """Return the autoencoder trained by DP-SGD."""
    return _personal("autoencoder", params(train), train, mu, scratch)


def params(train: Rows, columns: int | None = None) -> RecommendParams:
    """Return the shipped parameters, with a column for every item, or for every category where `columns` is given."""
    if columns is None:
        return RecommendParams(columns=max(len(train.catalogue), 2))
    return RecommendParams(columns=columns, enough_categories=1)


def floor(train: Rows, mu: float, scratch: Path) -> tuple[Path, Bundle]:
    """Return the released popularity."""
    out = _fitted(find("recommend").candidates["popularity"], params(train), train, mu, None, scratch)
    return out, read_bundle(out)


def scorer(bundle: Bundle) -> Scorer:
    """Return the service's scores of `bundle`."""
    return lambda history: scores(bundle, history)


def _personal(name: str, options: RecommendParams, train: Rows, mu: float, scratch: Path) -> Scorer:
    share = starts(train, mu)
    start, _ = floor(train, mu * math.sqrt(share), scratch)
    left = mu * math.sqrt(1 - share)
    return scorer(read_bundle(_fitted(find("recommend").candidates[name], options, train, left, start, scratch)))


def _fitted(
    candidate: Candidate, options: RecommendParams, train: Rows, mu: float, start: Path | None, scratch: Path
) -> Path:
    delta = 1 / (10 * len(train))
    plan = candidate.plan(mu=mu, delta=delta, population=len(train), params=options, floor=start)
    out, telemetry = (Path(tempfile.mkdtemp(dir=scratch)) for _ in range(2))
    candidate.fit(train, plan, train.catalogue, floor=start, intend=_charge_nothing, out=out, telemetry=telemetry)
    return out


def _charge_nothing(steps: int) -> None:
    """The rows are public."""

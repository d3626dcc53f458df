"""A membership inference attack by likelihood ratios, judged by its whole ROC curve.

The online attack of Carlini et al. (2022, algorithm 1): models like the target are trained with and without each user
in question; what they answer about that user makes two normal distributions, and the target's answer is judged by
their likelihood ratio. With few such models a variance of each user's own is poorly known: the two distributions share
one, drawn towards that of all users (compare their section VI-C). What a differentially private model allows any attack
at all is bounded: TPR ≤ e^ε · FPR + δ (Kairouz, Oh and Viswanath 2015).
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict
from scipy import stats

from components.core.errors import ContractBroken
from components.core.evidence import Record
from components.core.records import Interval

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

CONFIDENCE = 0.95
"""Of the intervals of AUC and of true positive rates."""
REFUTATION = 0.999
"""Confidence of the lower bound on ε; a claim below it is refuted."""
RATES = (0.001, 0.01, 0.1)
"""False positive rates at which the true positive rate is told."""
LEAST_AUC, LEAST_RATE = 0.6, 0.03
"""What the attack must surely exceed without privacy, in AUC and in TPR at 1% FPR: else it has no power."""

_PRIOR = 8.0
"""Models that the variance over all users weighs as much as, against a user's own."""
_POINTS = 200
_THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5)


class Curve(BaseModel):
    """A receiver operating characteristic: what share of members an attack finds at which share of false alarms."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    auc: Interval
    tpr_at: dict[str, Interval]
    """By false positive rate, one of `RATES`."""
    epsilon: float
    """What ε is at least, at `REFUTATION`, as far as this attack can tell."""


class Attack(Record):
    """How well members can be told from others by the served answers, with and without privacy; of public sources."""

    kind: ClassVar[str] = "attack"
    service: str
    candidate: str
    bundle: str
    dataset: str
    """`Dataset.digest`"""
    method: str = "LiRA, online (Carlini et al. 2022)"
    epsilon: float
    delta: float
    """The claim."""
    targets: int
    """Users asked about; half of them are members."""
    shadows: int
    """Models trained for the attack, of each kind; each target is in half of them."""
    private: Curve
    """The version."""
    exposed: Curve
    """The same mechanism on the same users without its noise."""

    @property
    def powerful(self) -> bool:
        """Whether the attack finds members where nothing protects them; else it proves nothing."""
        return self.exposed.auc.low > LEAST_AUC and self.exposed.tpr_at[f"{RATES[1]:g}"].low > LEAST_RATE

    @property
    def refuted(self) -> bool:
        """Whether the attack found more members than the claim allows any attack."""
        return self.private.epsilon > self.epsilon


def halves(targets: int, shadows: int, generator: np.random.Generator) -> Mask:
    """Return which targets each model is trained on, `(shadows, targets)`: each target on exactly half of them."""
    drawn = np.argsort(generator.random((shadows, targets)), axis=0)
    return np.asarray(drawn < shadows // 2)


def likelihood_ratios(observed: Floats, shadows: Floats, inside: Mask) -> Floats:
    """Return log Λ of each target, `(targets,)`: the higher, the more the model speaks as one that learnt from it.

    Args:
        observed: `(targets, questions)` signals of the model under attack, NaN where a question is not asked.
        shadows: `(shadows, targets, questions)` the same of each shadow model.
        inside: `(shadows, targets)` which of them learnt from whom; every target is in some and out of others.
    """
    mask = inside[:, :, None]
    included, excluded = (np.mean(shadows, axis=0, where=mask == wanted) for wanted in (True, False))
    residual = shadows - np.where(mask, included, excluded)
    own = np.sum(residual**2, axis=0)
    asked = np.isfinite(own)
    everyone = np.sum(own, axis=0, where=asked) / np.maximum(asked.sum(axis=0), 1) / len(shadows)
    variance = (own + _PRIOR * everyone) / (len(shadows) + _PRIOR) + 1e-18
    ratio = ((observed - excluded) ** 2 - (observed - included) ** 2) / (2 * variance)
    return np.asarray(np.nansum(ratio, axis=1))


def curve(members: Floats, others: Floats, delta: float) -> Curve:
    """Return the ROC curve of scores, higher for members.

    Raises:
        ContractBroken: there is nobody to tell apart.
    """
    if not len(members) or not len(others):
        raise ContractBroken(
            "An attack needs members and others", value=f"{len(members)} members, {len(others)} others"
        )
    thresholds = np.unique(np.concatenate([members, others]))[::-1]
    fpr, tpr = (np.concatenate([[0.0], _exceed(scores, thresholds)]) for scores in (others, members))
    kept = np.unique(np.searchsorted(fpr, _grid(len(others)), "right") - 1)
    return Curve(
        fpr=tuple(fpr[kept].tolist()),
        tpr=tuple(tpr[kept].tolist()),
        auc=_auc(members, others),
        tpr_at={f"{rate:g}": _rate_at(members, others, rate) for rate in RATES},
        epsilon=_least_epsilon(members, others, delta),
    )


def most_true_positives(fpr: Floats, epsilon: float, delta: float) -> Floats:
    """Return the largest TPR that (ε, δ) allows any attack at each FPR (Kairouz et al. 2015, theorem 2.1)."""
    steep = np.exp(np.minimum(epsilon + np.log(np.maximum(fpr, 1e-300)), 0)) + delta
    return np.asarray(np.clip(np.minimum(steep, 1 - np.exp(-epsilon) * (1 - delta - fpr)), 0, 1))


def section(attack: Attack) -> str:
    """Return what a reader needs to know, as Markdown."""
    head = "| model | AUC | " + " | ".join(f"TPR at {float(rate):.1%} FPR" for rate in attack.private.tpr_at)
    rows = [
        f"| {name} | {_bounds(one.auc)} | " + " | ".join(_bounds(rate, "%") for rate in one.tpr_at.values()) + " |"
        for name, one in (
            (f"{attack.candidate}, ε = {attack.epsilon:.3g}", attack.private),
            ("the same without noise", attack.exposed),
        )
    ]
    return (
        "\n".join(
            [
                "## Can members be told from the served answers?",
                "",
                head + " |",
                "| --- " * (2 + len(attack.private.tpr_at)) + "|",
                *rows,
                "",
                f"{verdict(attack)} {attack.method}, {attack.targets} users, {attack.shadows} shadow models of "
                f"each kind; intervals at {CONFIDENCE:.0%}.",
            ]
        )
        + "\n"
    )


def verdict(attack: Attack) -> str:
    """Return the outcome as one sentence."""
    if attack.refuted:
        return (
            f"REFUTED: the attack shows ε above {attack.private.epsilon:.2f} at {REFUTATION:.1%} confidence, where "
            f"{attack.epsilon:.3g} is claimed."
        )
    if not attack.powerful:
        return (
            f"This proves nothing: without noise the attack finds hardly anybody either (AUC "
            f"{attack.exposed.auc.value:.3f}), so that its failure with noise says little."
        )
    return (
        f"Without noise the answers betray who was there (AUC {attack.exposed.auc.value:.3f}); with it the same attack "
        f"comes to AUC {attack.private.auc.value:.3f}, where 0.5 is guessing, and the claim stands."
    )


def _exceed(scores: Floats, thresholds: Floats) -> Floats:
    """Return the share of `scores` at or above each threshold."""
    found: Floats = 1 - np.searchsorted(np.sort(scores), thresholds, "left") / len(scores)
    return found


def _grid(others: int) -> Floats:
    return np.concatenate([np.geomspace(1 / others, 1, _POINTS), np.linspace(0, 1, _POINTS)])


def _auc(members: Floats, others: Floats) -> Interval:
    """Return the area with its interval (DeLong, DeLong and Clarke-Pearson 1988)."""
    low, high = np.sort(others), np.sort(members)
    above = (np.searchsorted(low, members, "left") + np.searchsorted(low, members, "right")) / (2 * len(low))
    below = 1 - (np.searchsorted(high, others, "left") + np.searchsorted(high, others, "right")) / (2 * len(high))
    deviation = math.sqrt(np.var(above) / max(len(above) - 1, 1) + np.var(below) / max(len(below) - 1, 1))
    reach, value = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * deviation, float(above.mean())
    return Interval(value=value, low=max(0.0, value - reach), high=min(1.0, value + reach))


def _rate_at(members: Floats, others: Floats, rate: float) -> Interval:
    """Return the share of members above the threshold that at most `rate` of the others exceed.

    The interval (Clopper and Pearson 1934) is for members drawn anew; the threshold is taken as it is.
    """
    threshold = np.sort(others)[::-1][math.floor(rate * len(others))] if rate < 1 else -np.inf
    found = int(np.sum(members > threshold))
    low, high = _clopper_pearson(found, len(members), CONFIDENCE)
    return Interval(value=found / len(members), low=low, high=high)


def _least_epsilon(members: Floats, others: Floats, delta: float) -> float:
    """Return a lower bound of ε: thresholds are chosen on one half of the users, and rates measured on the other.

    Both errors are bounded at once (Nasr et al. 2021, section IV-C), whichever side is accused, over all thresholds.
    """
    confidence = 1 - (1 - REFUTATION) / len(_THRESHOLDS)
    best = 0.0
    for share in _THRESHOLDS:
        threshold = np.quantile(others[::2], 1 - share)
        found, alarms = (int(np.sum(scores[1::2] > threshold)) for scores in (members, others))
        tpr = _clopper_pearson(found, len(members[1::2]), confidence)
        fpr = _clopper_pearson(alarms, len(others[1::2]), confidence)
        for rate, error in ((tpr[0], fpr[1]), (1 - fpr[1], 1 - tpr[0])):
            if rate > delta and error > 0:
                best = max(best, math.log((rate - delta) / error))
    return best


def _clopper_pearson(found: int, total: int, confidence: float) -> tuple[float, float]:
    if not total:
        return 0.0, 1.0
    tail = (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, found, total - found + 1)) if found else 0.0
    high = float(stats.beta.ppf(1 - tail, found + 1, total - found)) if found < total else 1.0
    return low, high


def _bounds(interval: Interval, unit: str = "") -> str:
    if unit:
        return f"{interval.value:.1%} [{interval.low:.1%}, {interval.high:.1%}]"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"

"""Whether a smaller form of a released bundle goes on instead of it: its own gate, on simulated people, for nothing.

The loss is the mean paired difference of the service's first metric on people who are nobody, drawn from what the
bundle itself answers, as a part of the whole bundle's mean. No row of a person is read, so nothing is charged; what a
real person would notice is then in the evaluation, which measures the bundle that goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from pydantic import BaseModel, ConfigDict

from components.core import digest
from components.core.evidence import Record
from components.core.params import SmallerBundles
from components.core.service import Service
from components.evaluation.footprint import bundle_megabytes, latency_milliseconds

SEED = 20_150_213
_ONE_SIDED = 1.645  # a bound that holds with 95%
_CALLS, _REPEATS = 100, 3


class Tried(BaseModel):
    """One smaller form, measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    way: str
    bundle: str
    megabytes: float
    milliseconds: float
    """Within which half of the calls have answered, the best of a few times: a busy machine moves what is beyond."""
    loss: float
    """Part of the first metric that is lost; negative where it gains."""
    most_loss: float
    """Upper bound of it, with 95%."""
    accepted: bool


class Shrunk(Record):
    """What was tried to make one bundle smaller, and what goes on."""

    kind: ClassVar[str] = "shrunk"
    service: str
    candidate: str
    whole: str
    """Digest of the bundle that was released."""
    bundle: str
    """Digest of the bundle that goes on: a smaller one, or the whole."""
    megabytes: float
    milliseconds: float
    metric: str
    value: float
    """Of the whole bundle on simulated people."""
    tried: tuple[Tried, ...]

    @property
    def way(self) -> str | None:
        """The way that goes on; None where the whole bundle does."""
        return self._form.way if self._form else None

    @property
    def _form(self) -> Tried | None:
        # One that changes nothing has the whole's digest, and is none that goes on.
        return next((one for one in self.tried if one.accepted and one.bundle == self.bundle), None)

    def sentence(self) -> str:
        """Return for people what goes on, and what it may have lost."""
        form = self._form
        if form is None:
            ways = ", ".join(one.way for one in self.tried)
            return f"No smaller form was good enough ({ways} tried): it is as it was."
        return (
            f"It is {self.megabytes / form.megabytes:.1f} times smaller than what was released ({form.way}), and on "
            f"simulated people loses at most {form.most_loss:.2%} of {self.metric} (with 95%)."
        )


def shrink(service: Service, candidate: str, bundle: Path, limits: SmallerBundles, scratch: Path) -> Shrunk:
    """Make every smaller form of `bundle` in `scratch`, by its way, and return what was measured of each.

    The smallest form that meets the limits goes on. `scratch` must exist and be empty.
    """
    smaller = service.smaller
    assert smaller is not None, "the caller asks"
    forms = {way: scratch / way for way in smaller.ways}
    for way, form in forms.items():
        form.mkdir()
        smaller.ways[way](bundle, form)
    rows = smaller.simulated(bundle, SEED)
    before = service.score(bundle, rows, SEED)[:, 0]
    size, times = bundle_megabytes(bundle), _times(service, [bundle, *forms.values()])
    tried = []
    for way, form in forms.items():
        lost = before - service.score(form, rows, SEED)[:, 0]
        loss, bound = _part(lost, before)
        less, time = bundle_megabytes(form), times[form]
        gain = size >= limits.times_smaller * less or times[bundle] >= limits.times_faster * time
        tried.append(
            Tried(
                way=way,
                bundle=digest.of_path(form),
                megabytes=less,
                milliseconds=time,
                loss=loss,
                most_loss=bound,
                accepted=gain and time <= limits.most_slower * times[bundle] and bound <= limits.most_loss,
            )
        )
    accepted = sorted((one for one in tried if one.accepted), key=lambda one: one.megabytes)
    whole = digest.of_path(bundle)
    return Shrunk(
        service=service.name,
        candidate=candidate,
        whole=whole,
        bundle=accepted[0].bundle if accepted else whole,
        megabytes=size,
        milliseconds=times[bundle],
        metric=service.metrics[0].name,
        value=float(before.mean()) if len(before) else 0.0,
        tried=tuple(tried),
    )


def _part(lost: np.ndarray, before: np.ndarray) -> tuple[float, float]:
    """Return the mean loss and its upper bound as parts of the mean before; all of it where there was none."""
    mean = float(before.mean()) if len(before) else 0.0
    if len(lost) < 2 or mean <= 0:
        return 1.0, 1.0
    error = float(lost.std(ddof=1)) / np.sqrt(len(lost))
    return float(lost.mean()) / mean, (float(lost.mean()) + _ONE_SIDED * error) / mean


def _times(service: Service, bundles: list[Path]) -> dict[Path, float]:
    """Return milliseconds by bundle, taken in turns so that a busy moment meets all of them."""
    turns = [
        {one: latency_milliseconds(service, one, calls=_CALLS, share=0.5) for one in bundles} for _ in range(_REPEATS)
    ]
    return {one: min(turn[one] for turn in turns) for one in bundles}

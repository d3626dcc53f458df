"""What a person may turn about the demand service: `services.demand` in params.yaml.

The defaults were found on public and simulated data alone, so that they cost no ε.
"""

from __future__ import annotations

from pydantic import Field, field_validator

from components.core.params import Section


class PartShares(Section):
    """What each part of the release gets of its precision (of the squared norm); only ratios matter."""

    weeks: float = Field(0.65, gt=0)
    """Units by week and category."""
    items: float = Field(0.15, gt=0)
    """Units by item, over the whole window."""
    sites: float = Field(0.08, gt=0)
    """Units by week and site."""
    left: float = Field(0.07, gt=0)
    """Units by category that the bounds leave out of the weeks."""
    beyond: float = Field(0.05, gt=0)
    """All units that the bounds leave out, with a wider bound on a user's: where people buy much more than is counted,
    `left` falls short too."""
    weekdays: float = Field(0.05, gt=0)
    """Units by day of the week."""


class StateSpaceParams(Section):
    """What the state space expects before it has seen a week; what was released moves it from there."""

    walk: float = Field(0.002, gt=0)
    """Variance of a week's step of a level, as a part of the level's square: with more of it a forecast follows the
    last weeks, with less the whole history."""
    irregular: float = Field(0.01, gt=0)
    """Variance of what one week has alone, as a part of the same."""
    offer: float = Field(0.3, ge=0, le=2)
    """Part by which units rise where all that is sold is on offer."""


class DemandParams(Section):
    """The whole of `services.demand`."""

    categories: int = Field(40, ge=1)
    """Most categories; the narrowest level of the catalogue with no more is the one that is released."""
    weeks: int = Field(156, ge=3)
    """Most weeks of history; the latest ones are read."""
    sites: tuple[str, ...] = ()
    """The shop's sites, by the names that events give them. It is the shop that names them: a list that is learnt from
    events would tell about people. What is sold elsewhere is one more site."""
    units_per_user_block: int = Field(50, ge=1)
    """Most units of a user that count in a block; what exceeds them is scaled down evenly. Of a block that the window
    holds a part of, as much less."""
    norm: float = Field(4.0, gt=0)
    """Bound on the L2 norm of a user's units by week and category, times the root of the number of blocks."""
    shares: PartShares = PartShares()
    state_space: StateSpaceParams = StateSpaceParams()

    @field_validator("sites")
    @classmethod
    def _named_once(cls, sites: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(sites)) < len(sites) or not all(sites):
            raise ValueError("sites must have names, each one once")
        return sites


GRID: dict[str, dict[str, list[float]]] = {
    "state_space": {
        "state_space.walk": [0.0005, 0.002, 0.008],
        "state_space.irregular": [0.003, 0.01, 0.03],
        "state_space.offer": [0.15, 0.3, 0.6],
    },
}
"""What a search tries: the defaults, with values around them. Bounds and shares of the release shape the rows, which
all trials share."""

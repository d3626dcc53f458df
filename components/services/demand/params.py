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

    @field_validator("sites")
    @classmethod
    def _named_once(cls, sites: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(sites)) < len(sites) or not all(sites):
            raise ValueError("sites must have names, each one once")
        return sites

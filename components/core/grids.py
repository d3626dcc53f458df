"""What a search may try: a public grid of a service's parameters, by candidate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import BaseModel

from components.core.errors import Misconfigured
from components.core.params import merged, parse
from components.core.service import Service

Grid = Mapping[str, Sequence[Any]]
"""Values by key of the service's parameters, as `gram.spread`."""

MOST = 10_000
"""Choices of a grid."""


@dataclass(frozen=True)
class Choice:
    """One trial's candidate, and the values that it has instead of the parameters'."""

    candidate: str
    changes: tuple[tuple[str, Any], ...]

    @property
    def tree(self) -> dict[str, Any]:
        """The changes as a part of the service's parameters."""
        whole = dict[str, Any]()
        for key, value in self.changes:
            part: Any = value
            for name in reversed(key.split(".")):
                part = {name: part}
            whole = merged(whole, part)
        return whole

    def of(self, params: BaseModel) -> Any:
        """Return `params` with the changes, checked.

        Raises:
            Misconfigured: a key is unknown, or a value is none that it may have.
        """
        where = f"the grid of {self.candidate}"
        return parse(type(params), merged(params.model_dump(mode="json"), self.tree), where)


def grids(service: Service, params: BaseModel, asked: Mapping[str, Grid]) -> dict[str, Grid]:
    """Return the grid of every candidate of `service` that a search may try, each value checked.

    Args:
        service: with the candidates that take part.
        params: its parameters.
        asked: by candidate, instead of what the service declares (`tuning.grids` of params.yaml).

    Raises:
        Misconfigured: nothing is to be tried, it is no candidate that is personal, or a value is not allowed.
    """
    personal = [name for name, candidate in service.candidates.items() if candidate.personal]
    if strangers := sorted(set(asked) - set(personal)):
        raise Misconfigured(
            f"tuning.grids.{service.name} names what cannot be tuned",
            value=", ".join(strangers),
            limit=", ".join(personal),
            next_step="Name a candidate that takes part and is personal.",
        )
    found = {name: grid for name in personal if (grid := (asked or service.grid).get(name))}
    if not found or not all(values for grid in found.values() for values in grid.values()):
        raise Misconfigured(
            f"There is nothing to try for {service.name}",
            value=", ".join(asked or service.grid) or "no grid",
            limit=f"values for keys of {', '.join(personal)}",
            next_step=f"Name some in params.yaml: tuning.grids.{service.name}.",
        )
    for choice in choices(found):
        choice.of(params)
        if lists := [key for key, value in choice.changes if isinstance(value, list | dict)]:
            raise Misconfigured(f"A grid's values are numbers, words or truths: {lists[0]}", limit="no lists")
    return found


def choices(found: Mapping[str, Grid]) -> list[Choice]:
    """Return every choice of the grids, in their order.

    Raises:
        Misconfigured: there are too many to be planned.
    """
    every = [
        Choice(candidate, tuple(zip(grid, values, strict=True)))
        for candidate, grid in found.items()
        for values in product(*grid.values())
    ]
    if len(every) > MOST:
        raise Misconfigured("A grid is too large", value=f"{len(every)} choices", limit=f"{MOST}")
    return every

"""Tuning: each trial is a candidate of its own, trained and charged like the others, and chosen among them all.

There is no cheaper way that is also exact here: a trial that is trained on people's rows and then forgotten has been
released to whoever chose another one. Tuning on public and simulated rows is free; this is for what must be tuned on
one's own. The trials of a candidate share its part of the budget, so that no other candidate pays for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from components.core.errors import Misconfigured
from components.core.params import merged, parse
from components.core.service import Candidate, Service

Changes = Mapping[str, Any]
"""Other values of a service's parameters, as a part of its tree."""


class Trial:
    """A candidate with parameters of its own; whatever else is asked of it is asked of the candidate."""

    def __init__(self, candidate: Candidate, *, name: str, share: float, params: BaseModel) -> None:
        self._candidate, self._params = candidate, params
        self.name, self.personal, self.share = name, candidate.personal, share
        self.modules = candidate.modules
        self.at_noise, self.fit = candidate.at_noise, candidate.fit

    def plan(self, *, mu: float, delta: float, population: int, params: Any, floor: Path | None) -> BaseModel:
        """Return the candidate's plan with the trial's parameters; those of the service (`params`) do not count."""
        return self._candidate.plan(mu=mu, delta=delta, population=population, params=self._params, floor=floor)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._candidate, name)


def with_trials(service: Service, asked: Mapping[str, Sequence[Changes]], params: BaseModel) -> Service:
    """Return `service` with the trials of its candidates, called `gram-2`, `gram-3` beside `gram` itself.

    Args:
        service: its personal candidates may be tuned.
        asked: changes of the service's parameters by candidate, one for each trial.
        params: the service's parameters, which a trial changes in part.

    Raises:
        Misconfigured: there is no such candidate, it is the floor, or a change is none that the parameters allow.
    """
    if not asked:
        return service
    candidates = dict[str, Candidate]()
    personal = [name for name, candidate in service.candidates.items() if candidate.personal]
    if strangers := sorted(set(asked) - set(personal)):
        raise Misconfigured(
            f"training.trials.{service.name} names what cannot be tuned",
            value=", ".join(strangers),
            limit=", ".join(personal),
            next_step="Name a candidate that is personal.",
        )
    for name, candidate in service.candidates.items():
        every = asked.get(name, ())
        share = candidate.share / (1 + len(every))
        candidates[name] = Trial(candidate, name=name, share=share, params=params) if every else candidate
        for number, changes in enumerate(every, start=2):
            where = f"training.trials.{service.name}.{name}, number {number - 1}"
            changed = parse(type(params), merged(params.model_dump(mode="json"), dict(changes)), where)
            one = f"{name}-{number}"
            candidates[one] = Trial(candidate, name=one, share=share, params=changed)
    return replace(service, candidates=candidates)

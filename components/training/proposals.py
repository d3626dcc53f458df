"""What a search tries next: Optuna's samplers over a public grid.

On public rows any sampler will do, and one that learns from the scores before it (TPE) finds good values sooner. On
people's rows the trials must be independent draws from a law that reads nothing (`components.privacy.tuning`), so
that the scores are not even told to the sampler.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from components.core.grids import Choice, Grid

if TYPE_CHECKING:
    from optuna import Study, Trial


class Proposals:
    """Choices, one after the other.

    Args:
        grids: values by candidate and key.
        learning: whether the next choice may depend on the scores of those before.
    """

    def __init__(self, grids: Mapping[str, Grid], *, learning: bool) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)  # it would print every score
        self._grids, self._learning = grids, learning
        few = 5  # random choices before it learns; Optuna's ten are half of a search here
        sampler = optuna.samplers.TPESampler(n_startup_trials=few) if learning else optuna.samplers.RandomSampler()
        self._study: Study = optuna.create_study(direction="maximize", sampler=sampler)
        self._asked: Trial | None = None

    def ask(self) -> Choice:
        """Return the next choice. Without learning each is drawn anew, with replacement."""
        trial: Any = self._study.ask()
        self._asked = trial
        candidate = trial.suggest_categorical("candidate", list(self._grids))
        places = {
            key: trial.suggest_categorical(f"{candidate}: {key}", list(range(len(values))))
            for key, values in self._grids[candidate].items()
        }
        return Choice(candidate, tuple((key, self._grids[candidate][key][place]) for key, place in places.items()))

    def tell(self, score: float | None) -> None:
        """Say what came of the last choice; None where it failed. Without learning nothing is kept of it."""
        import optuna

        if self._asked is None or not self._learning:
            return
        failed = score is None or not math.isfinite(score)
        state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
        self._study.tell(self._asked, None if failed else score, state=state)
        self._asked = None

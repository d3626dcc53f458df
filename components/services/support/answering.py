"""From a message to an answer: what is said stands word by word in a policy text or in the customer's own order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from components.language.encoder import encoder
from components.services.support.bundle import Bundle
from components.services.support.entities import Titles
from components.services.support.params import OUT_OF_SCOPE
from components.services.support.policies import Passage


@dataclass(frozen=True)
class Understood:
    """What a message is about.

    Attributes:
        intent: the likeliest.
        confidence: its probability.
        passage: the passage of the policy texts that answers it best; None where none answers this intent.
    """

    intent: str
    confidence: float
    passage: Passage | None


@dataclass(frozen=True)
class Answerer:
    """A bundle that answers."""

    bundle: Bundle

    @cached_property
    def titles(self) -> Titles:
        """The titles of the catalogue."""
        table = self.bundle.items
        return Titles(table["item"].to_pylist(), table["title"].to_pylist())

    def understood(self, text: str) -> Understood:
        """Return what a message is about."""
        vector = encoder().encode([text])
        likely = self.bundle.probabilities(vector)[0]
        best = int(likely.argmax())
        intent = self.bundle.config.names[best]
        return Understood(intent, float(likely[best]), self._passage(intent, vector[0]))

    def unsure(self, found: Understood) -> str | None:
        """Return why a person should answer, or None."""
        if found.intent == OUT_OF_SCOPE:
            return "out of scope"
        if found.confidence < self.bundle.config.confidence:
            return "low confidence"
        return None if found.passage else "no policy text answers this"

    def _passage(self, intent: str, vector: npt.NDArray[np.float32]) -> Passage | None:
        """Return the passage of the intent that is nearest to the message."""
        places = [place for place, one in enumerate(self.bundle.passages) if intent in one.intents]
        if not places:
            return None
        near = self.bundle.arrays["passages"][places].astype(np.float32) @ vector
        return self.bundle.passages[places[int(near.argmax())]]

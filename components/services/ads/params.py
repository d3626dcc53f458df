"""What a person may turn about the ads: `services.ads` in params.yaml.

The defaults were found on simulated data alone, so that they cost no ε.
"""

from __future__ import annotations

from pydantic import Field

from components.core.params import Section


class NetworkParams(Section):
    """The network and its DP-SGD."""

    width: int = Field(8, ge=1)
    """Numbers of an embedding."""
    hidden: int = Field(16, ge=1)
    learning_rate: float = Field(0.4, gt=0)
    steps: int = Field(50, ge=1)
    ceiling_steps: int = Field(400, ge=1)
    """Steps without privacy, where more of them cost nothing."""
    expected_batch_size: int = Field(2048, ge=1)
    max_grad_norm: float = Field(0.5, gt=0)


class PairsParams(Section):
    """What is looked at together, as the floor releases it for the network."""

    share: float = Field(0.6, gt=0, lt=1)
    """Its part of the floor's budget, in units of μ²."""
    columns: int = Field(1200, ge=2)
    """Most columns: of items, or of their categories where there are too many."""


class AdsParams(Section):
    """The whole of `services.ads`."""

    max_impressions_per_user: int = Field(40, ge=1)
    """A user's latest ones; the loss is their mean."""
    max_looks_per_user: int = Field(100, ge=1)
    """Items that a user looked at, each once: the latest."""
    frequency_cap: int = Field(3, ge=1)
    """How often one user is shown one ad at most, by the history that the request brings."""
    pairs: PairsParams = PairsParams()
    network: NetworkParams = NetworkParams()


GRID: dict[str, dict[str, list[float]]] = {
    "network": {
        "network.learning_rate": [0.2, 0.4, 0.8],
        "network.max_grad_norm": [0.25, 0.5, 1.0],
        "network.hidden": [8, 16],
    },
}
"""What a search tries: the defaults, with values around them. What is looked at together is released by the floor,
which all trials share."""

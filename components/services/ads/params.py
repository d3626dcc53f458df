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
    learning_rate: float = Field(2.0, gt=0)
    steps: int = Field(200, ge=1)
    ceiling_steps: int = Field(600, ge=1)
    """Steps without privacy, where more of them cost nothing."""
    expected_batch_size: int = Field(1024, ge=1)
    max_grad_norm: float = Field(0.5, gt=0)


class AdsParams(Section):
    """The whole of `services.ads`."""

    max_impressions_per_user: int = Field(40, ge=1)
    """A user's latest ones; the loss is their mean."""
    frequency_cap: int = Field(3, ge=1)
    """How often one user is shown one ad at most, by the history that the request brings."""
    network: NetworkParams = NetworkParams()

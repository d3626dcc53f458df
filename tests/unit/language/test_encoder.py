"""The encoder's vectors: of norm 1, of each text alone, and kept of public texts only."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import pytest

from components.language.encoder import SIZE, Encoder, encoded, encoder

TEXTS = ("green tea", "Where is my parcel?", "ground coffee, one pound")


def test_a_text_is_encoded_alone_whatever_stands_beside_it() -> None:
    together, alone = encoder().encode(TEXTS), np.vstack([encoder().encode([text]) for text in TEXTS])
    assert together.shape == (len(TEXTS), SIZE)
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_public_texts_are_encoded_once_and_cannot_be_changed_by_who_reads_them() -> None:
    encoded.cache_clear()
    with patch.object(Encoder, "encode", autospec=True, side_effect=Encoder.encode) as counted:
        first, second = encoded(TEXTS), encoded(TEXTS)
    assert counted.call_count == 1
    assert first is second
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 0

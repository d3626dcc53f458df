"""What the network is given: a user's impressions with their figures already worked out, as a CSR matrix.

The figures rest on the user's own row and on what the floor has released, so that a line still depends on no other.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from components.services.ads import data
from components.services.ads.bundle import Bundle
from components.services.ads.data import Matrix, Rows, shown
from components.services.ads.forward import known

AD, POSITION, HOUR, CLICKED, FIGURES = range(5)
"""Places of an impression's inputs; the figures are the last."""
WIDTH = FIGURES + 4


def inputs(rows: Rows, floor: Bundle) -> Matrix:
    """Return `(users, most · WIDTH)`. The rows must count by the floor's catalogue."""
    these = shown(rows)
    turn = np.arange(len(these.owner)) - np.searchsorted(these.owner, these.owner)
    cells = np.column_stack([these.cells[:, [data.AD, data.POSITION, data.HOUR, data.CLICKED]], known(floor, these)])
    column = turn[:, None] * WIDTH + np.arange(WIDTH)
    entries = (cells.astype(np.float32).ravel(), (np.repeat(these.owner, WIDTH), column.ravel()))
    matrix = sparse.csr_array(entries, shape=(len(rows), rows.most * WIDTH))
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix

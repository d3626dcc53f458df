"""Rows that are users, sparse: what an `EmbeddingBag` reads, and never made dense on the way there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class SparseRows:
    """A batch of sparse rows, as in a CSR matrix.

    Attributes:
        offsets: (rows + 1,) where each row's entries begin, and where the last ends.
        columns: (entries,) the column of each entry.
        values: (entries,) its value.
        width: columns of a row.
    """

    offsets: Tensor
    columns: Tensor
    values: Tensor
    width: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, some: slice | Tensor) -> SparseRows:
        """Return the rows of a slice without a step, or of a mask."""
        if isinstance(some, slice):
            start, stop, _ = some.indices(len(self))
            bounds = self.offsets[start : max(start, stop) + 1]
            first, last = int(bounds[0]), int(bounds[-1])
            return replace(
                self, offsets=bounds - first, columns=self.columns[first:last], values=self.values[first:last]
            )
        sizes = self.offsets.diff()
        kept = some.repeat_interleave(sizes)
        bounds = torch.cat([self.offsets[:1], sizes[some].cumsum(0)])
        return replace(self, offsets=bounds, columns=self.columns[kept], values=self.values[kept])

    @property
    def row_of_entry(self) -> Tensor:
        """The row of each entry, (entries,)."""
        return torch.arange(len(self), device=self.offsets.device).repeat_interleave(self.offsets.diff())

    def without_last_column(self) -> tuple[SparseRows, Tensor]:
        """Return the rows of all columns but the last, and the last, `(rows,)`: dense, 0 where there is no entry."""
        last = self.columns == self.width - 1
        row, values = self.row_of_entry, self.values
        column = torch.zeros(len(self), dtype=values.dtype, device=values.device).index_add(0, row[last], values[last])
        before = torch.zeros_like(self.offsets)
        torch.cumsum(torch.bincount(row[last], minlength=len(self)), 0, out=before[1:])
        kept = replace(
            self,
            offsets=self.offsets - before,
            columns=self.columns[~last],
            values=values[~last],
            width=self.width - 1,
        )
        return kept, column

    def to(self, device: torch.device | str, non_blocking: bool = False) -> SparseRows:
        """Return the rows on a device."""
        parts = (self.offsets, self.columns, self.values)
        offsets, columns, values = (part.to(device, non_blocking=non_blocking) for part in parts)
        return replace(self, offsets=offsets, columns=columns, values=values)

    def dense(self) -> Tensor:
        """Return (rows, width): for tests and small batches."""
        whole = torch.zeros(len(self), self.width, dtype=self.values.dtype, device=self.values.device)
        return whole.index_put_((self.row_of_entry, self.columns), self.values, accumulate=True)


def made_up(width: int, rows: int = 2) -> SparseRows:
    """Return rows that are nobody's: half of the columns, each with 1."""
    present = torch.rand(rows, width) < 0.5
    present[:, 0] = True
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), present.sum(dim=1).cumsum(0)])
    return SparseRows(offsets, present.nonzero()[:, 1], torch.ones(int(offsets[-1])), width)


def wider(rows: Tensor | SparseRows) -> Tensor | SparseRows:
    """Return the rows with one more column, of zeros, to their right."""
    if isinstance(rows, SparseRows):
        return replace(rows, width=rows.width + 1)
    return torch.nn.functional.pad(rows, (0, 1))

"""Augmentation of rows that are users, within the row: the same user a little otherwise at every step, before the loss.

An augmentation maps a row to a row and reads nothing else: no other row, no statistic of them, no table. So it is a
part of the loss of that user alone, whose gradient is clipped as ever; adding or removing the user changes what is
summed by at most the clipping norm, whatever the augmentation drew. Sensitivity, sampling and the event that is charged
are those without it.

That a row's draws are its own is made so, not only likely: they are a hash of one key a call, of the row's place in
the batch and of the entry's column. Rows beside it change none of them. They need variety and no secrecy: the proof of
a step holds for every value that they may have.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import torch
from torch import Tensor

from components.core.errors import Misconfigured
from components.privacy.rows import SparseRows

Rows = TypeVar("Rows", Tensor, SparseRows)

_MOST_UNITS = 128
"""Items of one entry that are drawn for one by one; beyond them they are kept or dropped in as many parts."""


def item_dropout(rows: Rows, rate: float) -> Rows:
    """Return `rows` of counts with each item of each row left out with probability `rate`, on its own.

    Args:
        rows: (rows, columns) of at least 0, dense or sparse; an entry of n counts n items, and of it a binomial part
            stays.
        rate: 0 leaves all as it is, and draws nothing.

    Raises:
        Misconfigured: the rate is not in [0, 1).
    """
    if not 0 <= rate < 1:
        raise Misconfigured("An item is dropped with a probability", value=f"item_dropout = {rate:g}", limit="[0, 1)")
    if rate == 0:
        return rows
    if isinstance(rows, SparseRows):
        return replace(rows, values=rows.values * _kept(rows.values, rows.row_of_entry, rows.columns, rate))
    row, column = (rows.detach() > 0).nonzero(as_tuple=True)
    part = torch.zeros_like(rows)
    part[row, column] = _kept(rows.detach()[row, column], row, column, rate)
    return rows * part


def _kept(values: Tensor, row: Tensor, column: Tensor, rate: float) -> Tensor:
    """Return the part of each entry that stays, (entries,)."""
    units = values.detach().ceil().clamp(1, _MOST_UNITS).long()
    of_entry = _mixed(_mixed(_key().to(row.device) ^ row) ^ column)
    stay = torch.zeros_like(units)
    for unit in range(int(units.max()) if len(units) else 0):
        stay += (units > unit) & (_uniform(_mixed(of_entry ^ (unit + 1))) >= rate)
    return (stay / units).to(values.dtype)


def _key() -> Tensor:
    """Draw one number from torch's generator, however many rows there are."""
    return torch.randint(-(2**63), 2**63 - 1, (), dtype=torch.int64)


def _mixed(values: Tensor) -> Tensor:
    """Return well-mixed 64-bit hashes (SplitMix64, Steele et al. 2014)."""
    state = values + _signed(0x9E3779B97F4A7C15)
    state = (state ^ _shifted(state, 30)) * _signed(0xBF58476D1CE4E5B9)
    state = (state ^ _shifted(state, 27)) * _signed(0x94D049BB133111EB)
    return state ^ _shifted(state, 31)


def _shifted(values: Tensor, by: int) -> Tensor:
    """Shift to the right as if there were no sign."""
    return (values >> by) & (2 ** (64 - by) - 1)


def _signed(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


def _uniform(hashed: Tensor) -> Tensor:
    """Return numbers in [0, 1) of 53 bits."""
    return _shifted(hashed, 11).double() * 2.0**-53

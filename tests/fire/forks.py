"""Processes that are forked after everything was imported, and that die at a statement."""

from __future__ import annotations

import gc
import itertools
import os
import signal
import traceback
from collections.abc import Callable
from typing import Any

from components.privacy.postgres import Postgres
from components.privacy.sqlite import Sqlite


def fork(body: Callable[[], object]) -> int:
    """Run `body` in a process of its own and return its number; it exits with 0, or with 1 after an exception."""
    pid = os.fork()
    if pid:
        return pid
    gc.disable()  # the parent's connections are not this process' to close
    code = 1
    try:
        body()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(pid: int) -> int:
    """Return a child's exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def at_statement(number: int, do: Callable[[Any], object]) -> Callable[[], int]:
    """Call `do(backend)` right before the statement of that number from now on; return what counts them."""
    counter, seen = itertools.count(1), [0]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def execute(self: Any, *arguments: Any) -> Any:
            seen[0] = next(counter)
            if seen[0] == number:
                do(self)
            return real(self, *arguments)

        return execute

    for backend in (Sqlite, Postgres):
        backend._execute = counted(backend._execute)  # type: ignore[method-assign]
    return lambda: seen[0]


def die(_: Any = None) -> None:
    os.kill(os.getpid(), signal.SIGKILL)

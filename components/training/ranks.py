"""Several processes on one machine train together by Lightning's DDP, each on a device and on users of its own.

The caller's process is rank 0: it alone intends, draws the noise, keeps checkpoints and watches canaries. The others
are its children and end with it. Every user belongs to one rank, which samples it with the plan's rate, so together the
ranks take a Poisson sample; the sum of their clipped gradients, noised once, is what each of them applies (as Opacus'
distributed optimizer does).
"""

from __future__ import annotations

import multiprocessing
import pickle
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from pytorch_lightning.plugins.environments import ClusterEnvironment
from pytorch_lightning.strategies import DDPStrategy, Strategy

_PATIENCE = timedelta(minutes=10)
"""How long a rank waits for another: a step, or the ledger's lock."""


@dataclass(frozen=True)
class Rank:
    """One of `world` processes, which meet at `port` of this machine."""

    number: int = 0
    world: int = 1
    port: int = 0

    @property
    def strategy(self) -> Strategy | str:
        """Lightning's strategy: none for one process."""
        return DDPStrategy(cluster_environment=_Here(self), timeout=_PATIENCE) if self.world > 1 else "auto"


def helped(rank: Rank, assist: Callable[..., Any], *arguments: Any) -> AbstractContextManager[None]:
    """Let the other ranks run `assist(rank, *arguments)`, in processes of their own, while the block runs.

    The arguments are pickled as they are when this is called. The processes are ended with the block, however it ends.
    """
    # As bytes: of a tensor, multiprocessing would give them the very memory, and each would train the other's weights.
    # At once: what is hooked to a module later on is this process's own.
    return _processes(rank, pickle.dumps((assist, arguments)) if rank.world > 1 else b"")


@contextmanager
def _processes(rank: Rank, pickled: bytes) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    helpers = [
        context.Process(target=_help, args=(Rank(number, rank.world, rank.port), pickled), daemon=True)
        for number in range(1, rank.world)
    ]
    try:
        for helper in helpers:
            helper.start()
        yield
        for helper in helpers:
            helper.join(30)
    finally:
        for helper in helpers:
            if helper.is_alive():
                helper.kill()  # it holds nothing, and while it waits for the others it hears no gentler signal
                helper.join()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _help(rank: Rank, pickled: bytes) -> None:
    assist, arguments = pickle.loads(pickled)
    assist(rank, *arguments)


def first(world: int) -> Rank:
    """Return rank 0 of so many, with a free port to meet at."""
    if world == 1:
        return Rank()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return Rank(0, world, int(free.getsockname()[1]))


def as_the_first_says(go: bool, device: torch.device) -> bool:
    """Return what rank 0 was given; the others wait for it."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return go
    said = torch.tensor([go], dtype=torch.int32, device=device)
    torch.distributed.broadcast(said, src=0)
    return bool(said)


class _Here(ClusterEnvironment):
    """Processes on this machine that are already running."""

    def __init__(self, rank: Rank) -> None:
        super().__init__()
        self._rank = rank

    @property
    def creates_processes_externally(self) -> bool:
        """They are `helped`'s."""
        return True

    @property
    def main_address(self) -> str:
        """This machine."""
        return "127.0.0.1"

    @property
    def main_port(self) -> int:
        """Where rank 0 waits."""
        return self._rank.port

    @staticmethod
    def detect() -> bool:
        """Never by itself."""
        return False

    def world_size(self) -> int:
        """All processes."""
        return self._rank.world

    def set_world_size(self, size: int) -> None:
        """It is known."""

    def global_rank(self) -> int:
        """The number among all."""
        return self._rank.number

    def set_global_rank(self, rank: int) -> None:
        """It is known."""

    def local_rank(self) -> int:
        """The same: there is one machine."""
        return self._rank.number

    def node_rank(self) -> int:
        """There is one machine."""
        return 0

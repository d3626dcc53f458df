"""What a bundle costs to carry and to ask: its size and the time in which it answers."""

from __future__ import annotations

import math
from pathlib import Path
from time import perf_counter

from threadpoolctl import threadpool_limits

from components.core.errors import ContractBroken
from components.core.service import Service


def bundle_megabytes(bundle: Path) -> float:
    """Return the size of all files in the folder `bundle`, in units of 10⁶ bytes.

    Raises:
        ContractBroken: there is nothing in it.
    """
    sizes = [file.stat().st_size for file in bundle.rglob("*") if file.is_file()]
    if not sizes:
        raise ContractBroken(f"The bundle {bundle} is missing or empty", next_step="Train it again.")
    return sum(sizes) / 1e6


def latency_milliseconds(
    service: Service, bundle: Path, *, calls: int = 200, warm_up: int = 20, share: float = 0.95
) -> float:
    """Return the milliseconds within which a share of calls of `service.predict` on its example have answered.

    One process, one call at a time on one thread, as serving gives it, the bundle loaded and warm: what the model
    takes, without network and queue.
    """
    loaded = service.load(bundle)
    question = service.request.model_validate(dict(service.example))
    seconds = []
    with threadpool_limits(1):
        for call in range(warm_up + calls):
            start = perf_counter()
            service.predict(loaded, question)
            if call >= warm_up:
                seconds.append(perf_counter() - start)
    return 1000 * sorted(seconds)[math.ceil(share * calls) - 1]

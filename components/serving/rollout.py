"""The roll-out: which loaded champion answers, and how a new one takes over without dropping a request.

A new bundle is verified, loaded and warmed beside the one that serves; then one reference is swapped. A request reads
that reference once, so it is answered by one version from beginning to end, and the old version goes when its last
request ends.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterable

from components.core.errors import ApprovalInvalid, JaliError
from components.core.service import Service
from components.serving import bundle
from components.serving.bundle import Loaded
from components.serving.champion import Champion, ChampionSource

logger = logging.getLogger("jali.serving")

POLL_SECONDS = 1.0
RETRY_SECONDS = 15.0
"""A champion that was refused is looked at again this often, so that a restored bundle needs no restart."""


class Rollout:
    """The champions in memory, by service, and what stands in the way of the others."""

    def __init__(self, services: Iterable[Service], source: ChampionSource) -> None:
        self.services = {service.name: service for service in services}
        self._source = source
        self._loaded: dict[str, Loaded] = {}
        self._problems = dict.fromkeys(self.services, "It is still being loaded.")
        self._revision: str | None = None
        self._tried = float("-inf")
        self._one_refresh = threading.Lock()

    def serving(self, name: str) -> Loaded | None:
        """Return what answers a request that starts now; None where no champion was ever loaded."""
        return self._loaded.get(name)

    @property
    def problems(self) -> dict[str, str]:
        """One sentence for each service whose current champion is not the one in memory."""
        return dict(self._problems)

    @property
    def ready(self) -> bool:
        """Every service has an approved champion in memory, if only the previous one.

        A newer one that was refused does not count: a bad promotion must not take the service down.
        """
        return all(name in self._loaded for name in self.services)

    def refresh(self) -> None:
        """Load what changed, service by service. Never raises.

        A service whose new champion is refused keeps the previous one, unless that one's approval was withdrawn.
        """
        with self._one_refresh:
            self._tried = time.monotonic()
            # Read before the champions: a promotion in between is then seen as new at the next poll.
            self._revision = self._read_revision()
            for service in self.services.values():
                self._refresh_one(service)

    def refresh_if_changed(self) -> None:
        """Do nothing while no champion moved and all are loaded; otherwise `refresh`. Never raises."""
        overdue = bool(self._problems) and time.monotonic() - self._tried >= RETRY_SECONDS
        if overdue or self._read_revision() != self._revision:
            self.refresh()

    async def watch(self, poll_seconds: float = POLL_SECONDS) -> None:
        """Follow the champions until cancelled. Loading happens in a thread: the event loop keeps answering."""
        while True:
            await asyncio.to_thread(self.refresh_if_changed)
            await asyncio.sleep(poll_seconds)

    def _refresh_one(self, service: Service) -> None:
        try:
            champion = self._source.current(service.name)
            if champion is None:
                self._hold(service, "No version has been promoted. Run `jali promote request`, then approve it.")
                return
            if not self._holds(champion):
                self._loaded[service.name] = bundle.load(service, champion)
                logger.info("%s: version %s takes over", service.name, champion.version)
            self._problems.pop(service.name, None)
        except JaliError as error:
            self._hold(service, str(error))
            self._let_go_if_withdrawn(service)
        except Exception as error:  # the watcher outlives any failure, and says it
            logger.exception("%s: the champion could not be looked up", service.name)
            self._hold(service, f"The champion could not be looked up: {type(error).__name__}: {error}.")

    def _let_go_if_withdrawn(self, service: Service) -> None:
        loaded = self._loaded.get(service.name)
        if loaded is None:
            return
        try:
            self._source.verify(loaded.champion)
        except ApprovalInvalid as error:
            del self._loaded[service.name]
            self._hold(service, str(error))
        except Exception:
            return  # it was approved when it was loaded, and nothing says that this was withdrawn

    def _read_revision(self) -> str | None:
        try:
            return self._source.revision()
        except Exception:  # what is wrong is said service by service, where the champion is asked for
            return None

    def _hold(self, service: Service, reason: str) -> None:
        if self._problems.get(service.name) != reason:
            logger.warning("%s: %s", service.name, reason)
        self._problems[service.name] = reason

    def _holds(self, champion: Champion) -> bool:
        loaded = self._loaded.get(champion.service)
        return loaded is not None and loaded.champion == champion

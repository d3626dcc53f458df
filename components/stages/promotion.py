"""From a challenger to the champion that serving answers with."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from components.core import settings
from components.core.errors import Unavailable

if TYPE_CHECKING:
    from components.registry.approvals import PromotionRequest
    from components.registry.champions import Champion


def request_promotion(service: str, version: int | None, by: str) -> PromotionRequest | None:
    """Ask, in the name of `by`, that a version (by default the challenger) become the champion.

    Asked again while the same request waits for its decision, it returns that one; None where that version is champion
    already.
    """
    from components.registry import models, promotion
    from components.registry.champions import ApprovedChampions

    here = settings.load()
    wanted = version or models.alias(here, service, models.CHALLENGER)
    champion = ApprovedChampions(here.home, here.identities).current(service)
    if champion and wanted and models.evidence_of(here, service, wanted).verdict.digest == champion.verdict.digest:
        return None
    return promotion.request(here, service, by=by, now=datetime.now(UTC), version=wanted)


def promote(request: str) -> Champion:
    """Make the version of the approved request with this digest the champion."""
    from components.registry import promotion

    return promotion.promote(settings.load(), request, now=datetime.now(UTC))


def await_serving(service: str, version: int, seconds: float = 30) -> None:
    """Wait until this machine's serving process answers with `version`; where none runs, there is nothing to await.

    Raises:
        Unavailable: it runs and does not answer with that version in time.
    """
    page = f"http://127.0.0.1:{settings.load().serving_port}/v1/models"
    deadline = time.monotonic() + seconds
    while (found := _served(page, service)) != version:
        if found is None:
            return
        if time.monotonic() > deadline:
            raise Unavailable(
                f"Serving does not answer with the new champion of {service}",
                value=f"version {found}",
                limit=f"version {version} within {seconds:g} s",
                next_step="Read what /readyz says; the version is champion and will be served when that is mended.",
            )
        time.sleep(0.5)


def _served(page: str, service: str) -> int | None:
    """Return the version that is served, 0 where none is yet, None where no serving process answers."""
    try:
        with urllib.request.urlopen(page, timeout=5) as answer:
            models = json.load(answer)
    except urllib.error.HTTPError:
        return 0
    except urllib.error.URLError as error:
        return None if isinstance(error.reason, ConnectionRefusedError) else 0
    except OSError:
        return 0
    return next((int(one["version"]) for one in models if one["service"] == service), 0)

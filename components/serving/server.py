"""The serving process: one uvicorn server on this machine's loopback address."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI

from components.core import params, service
from components.core.errors import Misconfigured, Unavailable
from components.core.settings import Settings
from components.serving.app import create
from components.serving.champion import ApprovedChampions

HOST = "127.0.0.1"
"""Whoever wants it on a network puts a proxy with TLS and authentication in front."""

_DRAIN_SECONDS = 10


def serve(settings: Settings, *, announce: Callable[[str], None]) -> None:
    """Serve every service in `params.yaml` until the process is told to stop; requests in flight are finished.

    `announce` is called with the URL once the port is held.

    Raises:
        Unavailable: the port is in use.
        Misconfigured: the port or `params.yaml` does not hold.
    """
    names = params.load(settings.root / "params.yaml").services
    with hold_port(settings.serving_port) as held:
        app = create([service.find(name) for name in names], ApprovedChampions(settings.home, settings.identities))
        announce(f"http://{HOST}:{held.getsockname()[1]}")
        run(app, held)


def hold_port(port: int) -> socket.socket:
    """Return a socket that listens on `port` of the loopback address; 0 takes any free one.

    Raises:
        Unavailable: another process has the port.
        Misconfigured: it is not a port that this user may have.
    """
    # The protocol is named, since asyncio sends small answers at once (TCP_NODELAY) only on a socket that names it.
    held = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for old connections to fade
    try:
        held.bind((HOST, port))
        held.listen()
    except (OSError, OverflowError) as error:
        held.close()
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise Unavailable(
                f"Port {port} for serving is in use by another program",
                next_step="Stop that program, or choose another port with JALI_SERVING_PORT.",
            ) from error
        raise Misconfigured(
            "JALI_SERVING_PORT is not a port that this user may have",
            value=port,
            limit="1024 to 65535",
            next_step="Set it to such a port.",
        ) from error
    return held


def run(app: FastAPI, held: socket.socket) -> None:
    """Serve `app` on the bound socket until SIGINT or SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    config = uvicorn.Config(
        app,
        # uvicorn's access log has addresses and query strings; ours (access.py) has neither.
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    uvicorn.Server(config).run(sockets=[held])

"""One real Prefect server for the session: what a flow shows there is what a person will see."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events.worker import EventsWorker
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from components.commands.machine import processes
from components.core.settings import Settings, silence_telemetry
from tests.flows.setting_up import set_up


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A Prefect server of this session's own, which this process and its children talk to."""
    root = tmp_path_factory.mktemp("prefect")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = Settings(
        root=root, home=root / "home", identities=root / "identities.yaml", mlflow_uri="", prefect_port=port
    )
    silence_telemetry()
    process = processes(settings)["prefect"]
    process.start()
    try:
        process.wait(180)
        told = {PREFECT_API_URL: settings.prefect_url, PREFECT_HOME: settings.var / "prefect"}
        with pytest.MonkeyPatch.context() as patch, temporary_settings(updates=told):
            for name, value in settings.prefect_environment.items():
                patch.setenv(name, value)
            yield settings
            EventsWorker.drain_all()  # what the server would be told after it stopped is waited for, at length
    finally:
        process.stop()


@pytest.fixture
def client(server: Settings) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as found:
        yield found


@pytest.fixture(scope="session")
def deployed(server: Settings) -> Settings:
    """The same server once it holds what `jali up` gives it."""
    set_up(server)
    return server

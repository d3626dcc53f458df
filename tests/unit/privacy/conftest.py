import pytest

from tests.unit.privacy.builders import new_home, open_ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def home(tmp_path, request):
    """The home of a ledger on each backend: what holds for one holds for both."""
    return new_home(tmp_path / "home", request.param)


@pytest.fixture
def sqlite_home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def ledger(home):
    return open_ledger(home)


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "output"
    (folder / "inner").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "inner" / "weights").write_bytes(b"\x01\x02")
    return folder

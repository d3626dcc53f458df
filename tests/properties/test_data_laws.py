"""Laws of the data room."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core import digest
from components.core.params import Prepare, Split
from components.data.blocks import Block, name_of, starts
from components.data.prepare import period_of
from components.data.pseudonym import pseudonym
from components.data.split import split_of
from tests.unit.data.events import event, prepared

FEW = settings(max_examples=12)
PARAMS = Prepare(weights={"view": 0.1, "cart": 0.3, "purchase": 1.0}, max_items_per_user=3)

users = st.integers(0, 5).map(lambda n: digest.of_json(n)[:32])
events = st.builds(
    lambda kind, user, item, day, quantity, session: event(
        kind,
        user=user,
        item=item,
        ts=datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day),
        **quantity,
        session=session,
    ),
    st.sampled_from(["view", "cart", "purchase", "purchase", "return", "search"]),
    users,
    st.integers(0, 7).map("I{:02d}".format),
    st.integers(0, 300),
    st.fixed_dictionaries({"quantity": st.none() | st.integers(1, 4)}),
    st.sampled_from(["s", "t"]),
)
some_events = st.lists(events, min_size=1, max_size=60)
ANCHOR = event(user="f" * 32, item="I89", session="anchor")
"""One interaction that is always there, so that there is something to prepare."""


def of(rows: list[dict[str, Any]], blocks: tuple[str, ...] | None = None) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        return prepared(Path(folder), [*rows, ANCHOR], PARAMS, blocks=blocks)


@pytest.mark.slow
@FEW
@given(some_events, st.randoms(use_true_random=False))
def test_preparing_does_not_depend_on_order_and_duplicates(rows: list[dict[str, Any]], random: Any) -> None:
    shuffled = [*rows, *random.sample(rows, len(rows) // 2)]
    random.shuffle(shuffled)
    assert of(shuffled) == of(rows)


@pytest.mark.slow
@FEW
@given(some_events, st.sets(st.sampled_from(["2024Q1", "2024Q3", "2024Q4"])))
def test_what_is_done_in_a_block_that_is_not_read_shapes_nothing(rows: list[dict[str, Any]], also: set[str]) -> None:
    read = ("2024Q2", *sorted(also))  # that of the anchor
    assert of(rows, read) == of([row for row in rows if name_of(row["ts"], "quarter") in read])


@pytest.mark.slow
@FEW
@given(some_events)
def test_no_user_has_more_items_than_the_bound_nor_two_rows_for_one_block(rows: list[dict[str, Any]]) -> None:
    result = of(rows)
    for user in {row["user"] for row in result}:
        assert len({row["item"] for row in result if row["user"] == user}) <= PARAMS.max_items_per_user
    keys = [(row["user"], row["item"], row["block"]) for row in result]
    assert keys == sorted(set(keys))
    assert all(row["weight"] > 0 for row in result)


@pytest.mark.slow
@FEW
@given(some_events, users)
def test_one_user_never_changes_the_rows_of_another(rows: list[dict[str, Any]], gone: str) -> None:
    without = of([row for row in rows if row["user"] != gone])
    assert without == [row for row in of(rows) if row["user"] != gone]


@pytest.mark.slow
@FEW
@given(some_events)
def test_returning_everything_leaves_nothing(rows: list[dict[str, Any]]) -> None:
    late = datetime(2024, 12, 1, tzinfo=UTC)
    pairs = {(row["user"], row["item"]) for row in rows}
    returns = [event("return", user=user, item=item, ts=late, quantity=10_000) for user, item in pairs]
    assert [row["item"] for row in of([*rows, *returns])] == ["I89"]


@given(st.binary(min_size=32, max_size=32), st.lists(st.text(min_size=1), unique=True, max_size=20))
def test_pseudonyms_are_stable_distinct_and_of_one_shape(key: bytes, names: list[str]) -> None:
    made = [pseudonym(key, name) for name in names]
    assert made == [pseudonym(key, name) for name in names]
    assert len(set(made)) == len(names)
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in made)


@pytest.fixture(scope="module")
def duckdb() -> ibis.BaseBackend:
    return ibis.duckdb.connect()


def evaluate(connection: ibis.BaseBackend, column: str, kind: pa.DataType, values: list[Any], make: Any) -> list[Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "values.parquet"
        pq.write_table(pa.table({"n": range(len(values)), column: pa.array(values, kind)}), path)
        table = connection.read_parquet(path)
        return table.select("n", value=make(table[column])).order_by("n").to_pyarrow()["value"].to_pylist()


@FEW
@given(
    st.lists(st.text("0123456789abcdef", min_size=32, max_size=32), unique=True, min_size=1, max_size=50),
    st.floats(0.1, 0.8),
    st.floats(0.05, 0.1),
)
def test_a_split_depends_on_the_user_alone_and_grows_with_its_share(
    duckdb: ibis.BaseBackend, people: list[str], train: float, validation: float
) -> None:
    def of_share(share: float, whom: list[str]) -> list[str]:
        shares = Split(train=share, validation=validation, test=1 - share - validation)
        return evaluate(duckdb, "user", pa.string(), whom, lambda user: split_of(user, shares))

    whole = of_share(train, people)
    assert set(whole) <= {"train", "validation", "test"}
    assert of_share(train, people[: len(people) // 2 + 1]) == whole[: len(people) // 2 + 1]
    more = of_share(train + 0.05, people)
    assert all(after == "train" for before, after in zip(whole, more, strict=True) if before == "train")


@FEW
@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1)),
    st.lists(st.floats(0, 1), max_size=30),
    st.sampled_from([("day", 40), ("week", 200), ("month", 2_000), ("quarter", 4_000), ("year", 25_000)]),
)
def test_a_block_is_the_same_in_python_and_in_the_database(
    duckdb: ibis.BaseBackend, first: datetime, later: list[float], block_and_days: tuple[Block, int]
) -> None:
    block, days = block_and_days  # some dozens of periods each: ten thousands take seconds to compile
    stamps = [first, *(first + timedelta(days=days * part) for part in later)]
    aware = [stamp.replace(tzinfo=UTC) for stamp in stamps]
    begun = starts(min(aware), max(aware), block)
    places = evaluate(duckdb, "ts", pa.timestamp("us", "UTC"), aware, lambda ts: period_of(ts, begun))
    assert [name_of(begun[place], block) for place in places] == [name_of(stamp, block) for stamp in aware]
    assert begun == sorted(set(begun))


@pytest.mark.slow
@FEW
@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.sampled_from(["I00", "I01"]),
            st.integers(0, 60),
            st.sampled_from(["view", "purchase"]),
            st.sampled_from([None, "x", "y"]),
        ),
        min_size=1,
        max_size=120,
    )
)
def test_only_exact_duplicates_are_left_out_however_many_share_a_moment(
    tmp_path_factory: pytest.TempPathFactory, drawn: list[tuple[str, str, int, str, str | None]]
) -> None:
    rows = [
        event(kind, user=user * 32, item=item, ts=datetime(2024, 5, 3, tzinfo=UTC) + timedelta(days=day), session=visit)
        for user, item, day, kind, visit in drawn
    ]
    weights = Prepare(weights={"view": 1.0, "purchase": 1000.0})
    expected: dict[tuple[str, str, str], float] = {}
    for user, item, day, kind, _ in set(drawn):
        block = name_of(datetime(2024, 5, 3, tzinfo=UTC) + timedelta(days=day), "quarter")
        key = (user * 32, item, block)
        expected[key] = expected.get(key, 0.0) + weights.weights[kind]
    got = prepared(tmp_path_factory.mktemp("duplicates"), rows, weights)
    assert {(row["user"], row["item"], row["block"]): row["weight"] for row in got} == expected

"""Rows, and what is told of a bundle on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.tables import PREPARED_MESSAGES
from components.evaluation import confusion_figures
from components.services.support import SERVICE, head
from components.services.support.data import read_rows
from components.services.support.params import OUT_OF_SCOPE, SupportParams
from components.services.support.scoring import figures_of, histogram, histogram_lines, lines, macro_f1
from tests.unit.services.support.shop import PARAMS, bundle_of, rows_of

SAID = [
    (0, "Please cancel my order.", "cancel_order"),
    (0, "I want an invoice.", "refund"),
    (1, "What is the capital of Mongolia?", OUT_OF_SCOPE),
    (2, "When do I get my money back?", "refund"),
]


def test_a_users_latest_messages_are_read_and_unknown_intents_are_out_of_scope(tmp_path: Path) -> None:
    began = datetime(2024, 1, 1, tzinfo=UTC)
    rows = [
        {
            "user": user,
            "ts": began + timedelta(hours=n),
            "message": f"m{n}",
            "text": text,
            "intent": intent,
            "block": "b",
        }
        for n, (user, text, intent) in enumerate(
            [
                ("b", "old", "refund"),
                ("b", "newer", "refund"),
                ("b", "newest", "a fashion of its own"),
                ("a", "nobody knows", None),
                ("c", "x" * 5000, "refund"),
                ("c", "12345", "refund"),
                ("d", "hello", "invoice"),
            ]
        )
    ]
    pq.write_table(pa.Table.from_pylist(rows[::-1], PREPARED_MESSAGES), tmp_path / "messages.parquet")
    found = read_rows(tmp_path / "messages.parquet", SupportParams(max_messages_per_user=2))
    assert (len(found), found.texts) == (2, ("hello", "newer", "newest"))
    assert found.owners.tolist() == [0, 1, 1]
    assert [found.names[intent] for intent in found.intents] == ["invoice", "refund", OUT_OF_SCOPE]


def test_a_row_of_the_head_holds_its_own_messages_alone() -> None:
    rows = rows_of(SAID)
    cells = head.matrix(rows).reshape(3, PARAMS.max_messages_per_user, -1)
    assert cells[..., -1].sum(axis=1).tolist() == [2, 1, 1]
    np.testing.assert_allclose(cells[0, 1, :-2], rows.vectors[1])
    assert cells[0, 1, -2] == rows.intents[1]
    assert not cells[1, 1:].any()


def test_accuracy_is_the_mean_of_a_users_messages(tmp_path: Path) -> None:
    found = lines(bundle_of(tmp_path), rows_of(SAID))
    assert found[:, 0].tolist() == [0.5, found[1, 0], 1.0]


def test_a_bundle_of_another_list_of_intents_is_scored_by_their_names(tmp_path: Path) -> None:
    fewer = SupportParams(intents={name: PARAMS.intents[name] for name in ("refund", "invoice")}, head=PARAMS.head)
    found = lines(bundle_of(tmp_path, fewer), rows_of(SAID))
    assert found[2, 0] == 1.0
    assert found[0, 0] == 0.0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=30))
def test_macro_f1_of_counts_is_that_of_the_confusion_matrix(pairs: list[tuple[int, int, int]]) -> None:
    matrix = np.zeros((13, 13))
    for _, true, guess in pairs:
        matrix[true, guess] += 1
    hits = np.diag(matrix)
    found = macro_f1(hits, matrix.sum(axis=1) - hits, matrix.sum(axis=0) - hits)
    assert found == pytest.approx(confusion_figures.macro_f1(matrix.ravel()))


def test_a_users_cells_are_of_norm_one_at_most_and_figures_follow_from_their_mean(tmp_path: Path) -> None:
    bundle, rows = bundle_of(tmp_path), rows_of(SAID)
    cells, declared = histogram_lines(bundle, rows), histogram(PARAMS)
    assert cells.shape == (3, declared.size)
    assert np.linalg.norm(cells, axis=1).max() <= 1 + 1e-12
    assert cells.sum(axis=1).max() <= declared.mass + 1e-12
    assert set(figures_of(cells.mean(axis=0))) == {metric.name for metric in declared.metrics}
    assert all(0 <= figure <= 1 for figure in figures_of(np.zeros(declared.size)).values())


def test_the_histogram_follows_the_list_of_intents() -> None:
    fewer = SupportParams(intents={"refund": "money back"})
    shaped = SERVICE.taking_part(fewer)
    assert shaped.histogram is not None
    assert SERVICE.histogram is not None
    assert SERVICE.histogram.size - shaped.histogram.size == 3 * (len(SupportParams().names) - 2)
    assert shaped.figures == SERVICE.figures


def test_more_users_take_longer_steps_within_bounds_and_the_plan_says_how_long() -> None:
    rates = [head.learning_rate(PARAMS.head, users) for users in (1, 500, 1000, 4000, 10**9)]
    assert rates == sorted(rates)
    assert rates[2] == PARAMS.head.learning_rate
    assert rates[-1] == 4 * rates[2]
    plan = head.Head().plan(mu=1.0, delta=1e-5, population=4000, params=PARAMS, floor=None)
    assert plan.params.head.learning_rate == rates[3]

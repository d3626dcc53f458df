"""What an attack learns of a bundle is what the API tells, and no more."""

import numpy as np
import pyarrow as pa
import pytest
from scipy import sparse

from components.services.recommend import SERVICE, exposure
from components.services.recommend.bundle import Bundle, Config, write_bundle
from components.services.recommend.data import Catalogue, Rows

from .shop import ITEMS, catalogue, floor, tastes


def of(baskets, known):
    matrix = np.zeros((len(baskets), len(known)), dtype=np.float32)
    for user, basket in enumerate(baskets):
        matrix[user, list(basket)] = 1
    return Rows(sparse.csr_array(matrix), known)


@pytest.fixture
def bundle(tmp_path):
    drawn = np.random.default_rng(2)
    weights = drawn.random((ITEMS, ITEMS)).astype(np.float16)
    arrays = {**floor().arrays, "column": np.arange(ITEMS, dtype=np.int32), "weights": weights}
    write_bundle(tmp_path / "bundle", Bundle(Config(kind="gram", blend=1.0), arrays, catalogue()))
    return tmp_path / "bundle"


def test_a_signal_is_the_score_that_the_api_answers_with(bundle):
    rows = Rows(tastes(12), catalogue())
    found = exposure.signals(bundle, rows)
    assert found.shape == (12, exposure.QUESTIONS)
    loaded = SERVICE.load(bundle)
    for question in range(exposure.QUESTIONS):
        users, history, hidden = exposure.questions(rows, question)
        assert len(users) == 12
        for user, line, item in zip(users, history.toarray(), hidden, strict=True):
            request = {
                "history": [rows.catalogue.items[place] for place in np.flatnonzero(line)],
                "k": 100,
                "category": rows.catalogue.categories[item],
            }
            answer = SERVICE.predict(loaded, SERVICE.request.model_validate(request))
            (score,) = [one.score for one in answer.items if one.item == rows.catalogue.items[item]]
            assert found[user, question] == pytest.approx(np.log(score), rel=1e-5)


def test_the_hidden_item_is_the_users_own_and_not_in_the_history_and_each_question_hides_another():
    rows = Rows(tastes(20), catalogue())
    hidden = [exposure.questions(rows, question)[2] for question in range(3)]
    assert all(len({one[user] for one in hidden}) == 3 for user in range(20))
    users, history, items = exposure.questions(rows, 0)
    for user, line, item in zip(users, history.toarray(), items, strict=True):
        assert line[item] == 0
        line[item] = 1
        np.testing.assert_array_equal(line, rows.matrix.toarray()[user])


def test_who_has_too_few_items_is_not_asked_about(bundle):
    rows = of([[], [3], [3, 4], [3, 4, 5]], catalogue())
    assert exposure.eligible(rows).tolist() == [False, False, True, True]
    asked = np.isfinite(exposure.signals(bundle, rows))
    assert asked.sum(axis=1).tolist() == [0, 0, 2, 3]


def test_the_questions_about_a_user_depend_on_that_user_alone(bundle):
    rows = Rows(tastes(10), catalogue())
    moved = exposure.join([exposure.pick(rows, np.array([7, 2])), Rows(tastes(5, seed=4), catalogue())])
    np.testing.assert_array_equal(exposure.signals(bundle, moved)[:2], exposure.signals(bundle, rows)[[7, 2]])


def test_an_item_that_the_answer_does_not_list_counts_as_its_last(tmp_path):
    numbers = range(150)
    wide = Catalogue(
        pa.table(
            {
                "item": [f"item-{number:03d}" for number in numbers],
                "title": [None] * 150,
                "category": ["all"] * 150,
            },
            schema=pa.schema([("item", pa.string()), ("title", pa.string()), ("category", pa.string())]),
        )
    )
    shares = np.arange(150, 0, -1, dtype=np.float32)
    shares /= shares.sum()
    write_bundle(tmp_path / "b", Bundle(Config(kind="popularity"), {"popularity": shares}, wide))
    found = exposure.signals(tmp_path / "b", of([[148, 149]], wide))
    assert found[0, :2].tolist() == pytest.approx([np.log(shares[99])] * 2)

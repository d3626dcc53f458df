"""The autoencoder with items left out at random is charged and bounded as the one without."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from components.core.errors import Misconfigured
from components.core.params import parse
from components.core.service import Service
from components.services.recommend import SERVICE
from components.services.recommend.params import RecommendParams
from tests.conformance import test_recommend
from tests.conformance.makings import DELTA, MU, POPULATION, Makings
from tests.conformance.replays import replayed


class Recommend(Makings):
    service: ClassVar[Service] = SERVICE
    items: ClassVar[pa.Table] = test_recommend.TestRecommend.items
    options: ClassVar[dict[str, Any]] = {**test_recommend.TestRecommend.options, "augmentation": {"item_dropout": 0.5}}


@pytest.mark.slow
@pytest.mark.parametrize("audited", [False, True], ids=["alone", "with canaries"])
def test_replayed_with_one_more_user_it_keeps_the_sensitivity_that_it_declares_without(
    audited: bool, tmp_path: Path
) -> None:
    suite = Recommend()
    found = replayed(suite, SERVICE.candidates["autoencoder"], tmp_path, mu=MU, delta=DELTA, audited=audited)
    assert found.faults == ()
    assert max(found.moved.values()) > 0


def test_it_is_off_by_default_and_a_part_of_what_a_release_is_known_by() -> None:
    assert RecommendParams().augmentation.item_dropout == 0
    plans = [
        SERVICE.candidates["autoencoder"].plan(mu=MU, delta=DELTA, population=POPULATION, params=params, floor=None)
        for params in (RecommendParams.model_validate(test_recommend.TestRecommend.options), Recommend().params())
    ]
    assert plans[0] != plans[1]
    assert plans[0].event == plans[1].event, "what is charged is the same"  # type: ignore[attr-defined]


@pytest.mark.parametrize("rate", [1.0, -0.1, "some"])
def test_a_rate_that_is_none_is_refused_by_its_key(rate: object) -> None:
    with pytest.raises(Misconfigured, match=r"augmentation\.item_dropout"):
        parse(RecommendParams, {"augmentation": {"item_dropout": rate}}, "services.recommend")

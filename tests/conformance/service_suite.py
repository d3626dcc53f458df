"""What every service must hold. A service inherits these tests by one class:

class TestRecommend(ServiceConformance):
    service = SERVICE
    ...
"""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.core import digest, params
from components.core.errors import Misconfigured
from components.core.grids import choices
from components.core.service import Candidate, find
from components.privacy import mechanisms
from components.privacy.canaries import Canaries
from components.privacy.lower_bounds import largest_noise

from .makings import DELTA, MU, POPULATION, pseudonym
from .patches import no_pickle, noiseless
from .replays import replayed
from .shown_suite import Shown

ROOT = Path(__file__).parents[2]
SAFE_FILES = {".json", ".safetensors", ".parquet"}


class ServiceConformance(Shown):
    """Inherit, and set:

    service: the service.
    items: its catalogue's table.
    options: its parameters, small enough to train in a moment.
    iterative: candidates that take many noisy steps instead of one; their clipping is the engine's and tested there.
    reads: the table of a split that `table` makes, where it is not `interactions`.
    """

    # --- what it is

    def test_it_has_one_floor_and_the_floor_comes_first(self) -> None:
        personal = [candidate.personal for candidate in self.service.candidates.values()]
        assert personal[0] is False
        assert all(personal[1:])
        assert all(name == candidate.name for name, candidate in self.service.candidates.items())

    def test_its_folder_its_suite_and_its_parameters_are_held_together(self) -> None:
        name = self.service.name
        assert find(name) is self.service
        suite = json.loads((ROOT / "expectations" / f"{name}.json").read_text())
        assert suite["name"] == name
        configured = yaml.safe_load((ROOT / "params.yaml").read_text())["services"]
        params.parse(self.service.params, configured[name], f"services.{name}")

    def test_its_parameters_refuse_an_unknown_key_and_name_the_allowed_ones(self) -> None:
        with pytest.raises(Misconfigured, match="colums") as refused:
            params.parse(self.service.params, {"colums": 1}, f"services.{self.service.name}")
        assert all(key in str(refused.value) for key in self.service.params.model_fields)

    def test_its_shares_of_the_budget_are_positive(self) -> None:
        assert all(candidate.share > 0 for candidate in self.service.candidates.values())

    def test_a_trial_of_its_grid_is_trained_on_the_rows_that_all_trials_share_and_is_scored(
        self, candidate: Candidate, tmp_path: Path
    ) -> None:
        if candidate.name not in self.service.grid:
            pytest.skip("no search tries it")
        usual, public = self.params(), self.items_path(tmp_path)
        every = choices({candidate.name: self.service.grid[candidate.name]})
        rows = self.rows(tmp_path, self.table(self.baskets()))
        catalogue, floor = self.service.catalogue(public, usual), self.trained(self.service.floor, rows, tmp_path)[0]
        facts = {"mu": MU, "delta": DELTA, "population": POPULATION, "floor": floor}
        plans = [candidate.plan(params=choice.of(usual), **facts) for choice in every]
        assert len({plan.model_dump_json() for plan in plans}) == len(every), "each value shapes what is fitted"
        for place in (0, -1):
            chosen, out = every[place].of(usual), tmp_path / f"trial{place}"
            assert pickle.dumps(self.service.rows(tmp_path, public, chosen)) == pickle.dumps(
                self.service.rows(tmp_path, public, usual)
            )
            candidate.fit(rows, plans[place], catalogue, floor=floor, intend=lambda steps: None, out=out)
            values = self.service.score(out, rows, 1)
            assert values.shape[1] == len(self.service.metrics)
            assert np.isfinite(values).all()

    # --- what a release must be

    def test_the_plan_charges_no_more_than_its_budget(self, candidate: Candidate, tmp_path: Path) -> None:
        from components.privacy.accounting import epsilon_of, gaussian_epsilon

        _, plan, event = self.trained(candidate, self.rows(tmp_path, self.table(self.baskets())), tmp_path)
        assert epsilon_of([plan.event], DELTA) <= gaussian_epsilon(MU, DELTA) + 1e-9
        assert epsilon_of([event], DELTA) <= epsilon_of([plan.event], DELTA) + 1e-9

    def test_every_noisy_step_is_intended_before_it_is_drawn(self, candidate: Candidate, tmp_path: Path) -> None:
        rows = self.rows(tmp_path, self.table(self.baskets()))
        catalogue = self.service.catalogue(self.items_path(tmp_path), self.params())
        floor = self.trained(self.service.floor, rows, tmp_path)[0] if candidate.personal else None
        plan = candidate.plan(mu=MU, delta=DELTA, population=POPULATION, params=self.params(), floor=floor)

        def full(steps: int) -> None:
            raise OSError("the ledger cannot be written")

        with (
            patch.object(mechanisms, "gaussian_noise", side_effect=AssertionError("noise was drawn")),
            pytest.raises(OSError, match="ledger"),
        ):
            candidate.fit(rows, plan, catalogue, floor=floor, intend=full, out=tmp_path / "never")
        assert not (tmp_path / "never").exists()

    def test_one_user_moves_the_statistic_by_at_most_the_sensitivity(
        self, candidate: Candidate, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        if candidate.name in self.iterative:
            pytest.skip("its steps clip in the engine, where the same is tested")
        folder = tmp_path_factory.mktemp("users")
        everyone = self.baskets(users=12)
        before, _ = self.statistic(candidate, self.rows(folder / "before", self.table(everyone)), folder)
        positions = st.integers(0, len(self.items) - 1)

        @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(positions, min_size=1, max_size=len(self.items), unique=True))
        def moves(basket: list[int]) -> None:
            rows = self.rows(folder / "after", self.table([*everyone, basket]))
            after, sensitivity = self.statistic(candidate, rows, folder)
            assert np.linalg.norm(after - before) <= sensitivity * (1 + 1e-9)

        moves()

    @pytest.mark.parametrize("audited", [False, True], ids=["alone", "with canaries"])
    def test_replayed_with_one_more_user_it_keeps_what_its_plan_declares(
        self, candidate: Candidate, audited: bool, tmp_path: Path
    ) -> None:
        found = replayed(self, candidate, tmp_path, mu=MU, delta=DELTA, audited=audited)
        assert found.faults == ()
        assert max(found.moved.values()) > 0

    def test_the_order_of_rows_does_not_matter(self, candidate: Candidate, tmp_path: Path) -> None:
        if candidate.name in self.iterative:
            pytest.skip("each step samples its users at random")
        table = self.table(self.baskets())
        shuffled = table.take(np.random.default_rng(3).permutation(table.num_rows))
        one, _ = self.statistic(candidate, self.rows(tmp_path / "one", table), tmp_path)
        two, _ = self.statistic(candidate, self.rows(tmp_path / "two", shuffled), tmp_path)
        np.testing.assert_allclose(one, two, rtol=0, atol=1e-9)

    def test_done_again_it_differs_by_noise_alone(self, candidate: Candidate, tmp_path: Path) -> None:
        rows = self.rows(tmp_path, self.table(self.baskets()))
        noisy = [digest.of_path(self.trained(candidate, rows, tmp_path / name)[0]) for name in ("a", "b")]
        assert noisy[0] != noisy[1]
        if candidate.name not in self.iterative:
            with noiseless():
                same = [digest.of_path(self.trained(candidate, rows, tmp_path / name)[0]) for name in ("c", "d")]
            assert same[0] == same[1]

    def test_canaries_are_seen_and_leave_nothing_in_the_bundle(self, candidate: Candidate, tmp_path: Path) -> None:
        rows, canaries = self.rows(tmp_path, self.table(self.baskets())), Canaries.flipped(1000)
        sizes = []
        for those in (None, canaries):
            bundle, _, event = self.trained(candidate, rows, tmp_path / str(those is None), those)
            sizes.append({path.name: path.suffix != ".json" and path.stat().st_size for path in bundle.iterdir()})
        assert canaries.required().steps == getattr(event, "steps", 1)
        assert largest_noise(canaries.required(), event) < 4 * event.noise_multiplier, "each weighs what a user may"
        assert sizes[0] == sizes[1], "but for JSON, whose numbers have as many digits as they happen to"

    # --- what a bundle must be

    def test_its_bundle_is_data_and_answers_the_same_after_a_round_trip(
        self, candidate: Candidate, tmp_path: Path
    ) -> None:
        bundle, _, _ = self.trained(candidate, self.rows(tmp_path, self.table(self.baskets())), tmp_path)
        assert {path.suffix for path in bundle.rglob("*") if path.is_file()} <= SAFE_FILES
        request = self.service.request.model_validate(self.service.example)
        with no_pickle():
            answers = [self.service.predict(self.service.load(bundle), request) for _ in range(2)]
        assert answers[0] == answers[1]
        assert isinstance(answers[0], self.service.answer)

    def test_its_bundle_names_no_user(self, candidate: Candidate, tmp_path: Path) -> None:
        baskets = self.baskets()
        bundle, _, _ = self.trained(candidate, self.rows(tmp_path, self.table(baskets)), tmp_path)
        content = b"".join(path.read_bytes() for path in sorted(bundle.rglob("*")) if path.is_file())
        assert not any(pseudonym(user).encode() in content for user in range(len(baskets)))

    # --- what a score must be

    def test_scores_are_one_line_a_user_within_the_declared_ranges(self, candidate: Candidate, tmp_path: Path) -> None:
        rows = self.rows(tmp_path, self.table(self.baskets()))
        bundle, _, _ = self.trained(candidate, rows, tmp_path)
        values = self.service.score(bundle, rows, 11)
        assert values.shape == (40, len(self.service.metrics))
        for metric, column in zip(self.service.metrics, values.T, strict=True):
            assert np.all((column >= metric.low) & (column <= metric.high)), metric.name

    def test_another_user_changes_nobody_elses_score(self, candidate: Candidate, tmp_path: Path) -> None:
        baskets = self.baskets()
        rows = self.rows(tmp_path, self.table(baskets))
        bundle, _, _ = self.trained(candidate, rows, tmp_path)
        more = self.rows(tmp_path / "more", self.table([*baskets, [0, 1, 2]]))
        one, two = self.service.score(bundle, rows, 11), self.service.score(bundle, more, 11)
        kept = [sorted(map(tuple, values.round(6).tolist())) for values in (one, two)]
        left = list(kept[1])
        for line in kept[0]:
            left.remove(line)
        assert len(left) == 1

    def test_an_older_catalogues_bundle_is_scored_on_the_same_items(self, candidate: Candidate, tmp_path: Path) -> None:
        now = self.rows(tmp_path / "now", self.table(self.baskets()))
        gone = self.items.slice(0, 1).set_column(0, self.items.column_names[0], pa.array(["gone from the shop"]))
        older = self.with_items(pa.concat_tables([self.items.slice(5), gone]))
        sold_then = older.table([[place % len(older.items) for place in basket] for basket in older.baskets()])
        bundle, _, _ = older.trained(candidate, older.rows(tmp_path / "older", sold_then), tmp_path / "older")
        values = self.service.score(bundle, now, 11)
        assert values.shape == (40, len(self.service.metrics))
        for metric, column in zip(self.service.metrics, values.T, strict=True):
            assert np.all((column >= metric.low) & (column <= metric.high)), metric.name

    def test_the_order_of_the_catalogue_changes_no_score(self, candidate: Candidate, tmp_path: Path) -> None:
        if candidate.name in self.iterative:
            pytest.skip("each step samples its users at random")
        table = self.table(self.baskets())
        rows = self.rows(tmp_path / "rows", table)
        turned = self.with_items(self.items.take(list(reversed(range(len(self.items))))))
        with noiseless():
            bundle, _, _ = self.trained(candidate, rows, tmp_path / "same")
            other, _, _ = turned.trained(candidate, turned.rows(tmp_path / "rows", table), tmp_path / "turned")
        same, moved = self.service.score(bundle, rows, 11), self.service.score(other, rows, 11)
        np.testing.assert_allclose(moved, same, rtol=0, atol=1e-6)

    def test_its_probe_needs_no_user(self, candidate: Candidate, tmp_path: Path) -> None:
        bundle, _, _ = self.trained(candidate, self.rows(tmp_path, self.table(self.baskets())), tmp_path)
        assert all(np.isfinite(value) for value in self.service.probe(bundle).values())

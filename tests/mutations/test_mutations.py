"""Each classic mistake is seeded into the real code, and something catches every one of them.

A mistake that nothing catches is a hole in the detectors, and the code without any mistake passes all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from components.privacy.draws import Fault
from tests.mutations import ledgers, ranks, releases, stages, tables, trainings
from tests.mutations.mistakes import Patch, canaries, engine, ledger, loop
from tests.mutations.mistakes import ranks as rank
from tests.mutations.mistakes import releases as release
from tests.mutations.mistakes import services as service
from tests.mutations.mistakes import tables as table

Detector = Callable[[Path], list[Fault]]

DETECTORS: dict[str, Detector] = {
    "a training, replayed": lambda folder: trainings.training(),
    "the batches of a training": lambda folder: trainings.batches(),
    "a training, killed and resumed": trainings.resumed,
    "a training on two devices": ranks.training,
    "a training of a tuned service": stages.training,
    "a training beside canaries": lambda folder: trainings.beside(),
    "popularity beside canaries": lambda folder: releases.beside("popularity"),
    "gram beside canaries": lambda folder: releases.beside("gram"),
    "popularity, replayed": lambda folder: releases.candidate("popularity"),
    "gram, replayed": lambda folder: releases.candidate("gram"),
    "autoencoder, replayed": lambda folder: releases.candidate("autoencoder"),
    "the canaries of popularity": lambda folder: releases.audit("popularity"),
    "the canaries of gram": lambda folder: releases.audit("gram"),
    "rates of ads, replayed": lambda folder: releases.candidate("rates", "ads"),
    "naive demand, replayed": lambda folder: releases.candidate("naive", "demand"),
    "fused search, replayed": lambda folder: releases.candidate("fused", "search"),
    "the canaries of ads": lambda folder: releases.audit("rates", "ads"),
    "the canaries of demand": lambda folder: releases.audit("naive", "demand"),
    "the canaries of search": lambda folder: releases.audit("fused", "search"),
    "the canaries of a training": lambda folder: trainings.audit(),
    "an evaluation, replayed": releases.evaluation,
    "a count, replayed": releases.count,
    "every end of a release": ledgers.charges,
    "releases until nothing fits": ledgers.overdraft,
    "a training within its release": ledgers.training,
    "tables with and without a user": tables.neighbours,
}


@dataclass(frozen=True)
class Mistake:
    """A mistake, the detector that must catch it, and by which of its checks."""

    seed: Callable[[Patch], None]
    detector: str
    check: str


MISTAKES = [
    Mistake(engine.noise_is_halved, "a training, replayed", "noise"),
    Mistake(engine.the_clip_is_doubled, "a training, replayed", "sensitivity"),
    Mistake(engine.nothing_is_clipped, "a training, replayed", "sensitivity"),
    Mistake(engine.sums_are_divided_by_the_batch_that_came, "a training, replayed", "noise"),
    Mistake(engine.the_normaliser_is_q_times_the_number_of_users, "a training, replayed", "noise"),
    Mistake(engine.an_empty_batch_skips_its_noise, "a training, replayed", "leak"),
    Mistake(engine.a_batch_with_nan_skips_its_step, "a training, replayed", "leak"),
    Mistake(engine.noise_comes_from_one_seed, "a training, replayed", "noise"),
    Mistake(engine.noise_is_drawn_once_and_added_at_every_step, "a training, killed and resumed", "freshness"),
    Mistake(engine.the_seed_is_the_step_so_that_a_resume_replays_it, "a training, killed and resumed", "freshness"),
    Mistake(engine.the_ledger_is_told_of_half_of_the_steps, "a training, replayed", "answers"),
    Mistake(loop.batches_are_slices_of_a_shuffle, "the batches of a training", "sampling"),
    Mistake(loop.batches_have_a_fixed_size, "the batches of a training", "sampling"),
    Mistake(loop.the_rate_is_one_over_the_length_of_the_loader, "the batches of a training", "sampling"),
    Mistake(loop.active_users_are_sampled_more_often, "the batches of a training", "sampling"),
    Mistake(loop.every_batch_is_used_twice, "the batches of a training", "sampling"),
    Mistake(loop.training_stops_early_by_the_private_loss, "a training, replayed", "leak"),
    Mistake(loop.columns_are_scaled_by_private_statistics, "a training, replayed", "sensitivity"),
    Mistake(loop.the_vocabulary_is_learnt_from_private_rows, "a training, replayed", "sensitivity"),
    Mistake(loop.noise_is_drawn_before_its_intent, "a training, replayed", "intent"),
    Mistake(loop.redone_steps_are_not_intended, "a training, killed and resumed", "intent"),
    Mistake(loop.redone_steps_are_not_intended, "a training within its release", "ledger"),
    Mistake(release.noise_of_sums_is_halved, "gram, replayed", "noise"),
    Mistake(release.noise_of_sums_is_halved, "the canaries of gram", "audit"),
    Mistake(release.noise_of_sums_is_halved, "the canaries of popularity", "audit"),
    Mistake(release.sums_go_out_without_noise, "the canaries of popularity", "audit"),
    Mistake(release.pairs_are_counted_and_not_scaled_to_the_sensitivity, "the canaries of gram", "audit"),
    Mistake(release.noise_of_sums_is_replayed, "gram, replayed", "noise"),
    Mistake(release.sums_go_out_without_noise, "popularity, replayed", "noise"),
    Mistake(release.rows_are_counted_and_not_scaled_to_the_sensitivity, "popularity, replayed", "sensitivity"),
    Mistake(release.pairs_are_counted_and_not_scaled_to_the_sensitivity, "gram, replayed", "sensitivity"),
    Mistake(release.items_are_filtered_by_an_uncharged_count, "gram, replayed", "sensitivity"),
    Mistake(release.columns_are_chosen_by_uncharged_popularity, "gram, replayed", "leak"),
    Mistake(release.the_bundle_says_how_many_users_there_are, "popularity, replayed", "leak"),
    Mistake(release.the_loss_curve_is_in_the_bundle, "autoencoder, replayed", "leak"),
    Mistake(release.metrics_are_published_without_noise, "an evaluation, replayed", "answers"),
    Mistake(release.metrics_are_not_clipped_to_their_range, "an evaluation, replayed", "sensitivity"),
    Mistake(release.the_best_candidate_is_chosen_by_unnoised_scores, "an evaluation, replayed", "leak"),
    Mistake(release.the_count_is_exact, "a count, replayed", "answers"),
    Mistake(release.the_lower_bound_of_the_count_is_exact, "a count, replayed", "leak"),
    Mistake(engine.noise_is_halved, "the canaries of a training", "audit"),
    Mistake(engine.the_clip_is_doubled, "the canaries of a training", "audit"),
    Mistake(canaries.what_was_seen_of_canaries_is_in_the_bundle, "popularity beside canaries", "canaries"),
    Mistake(canaries.what_was_seen_of_canaries_is_in_the_bundle, "gram beside canaries", "canaries"),
    Mistake(canaries.canaries_hold_what_users_hold, "popularity beside canaries", "canaries"),
    Mistake(canaries.canaries_hold_what_users_hold, "gram beside canaries", "canaries"),
    Mistake(canaries.a_user_is_in_a_reserved_column, "popularity beside canaries", "canaries"),
    Mistake(canaries.a_user_is_in_a_reserved_column, "gram beside canaries", "canaries"),
    Mistake(canaries.a_user_is_in_a_reserved_column, "a training beside canaries", "canaries"),
    Mistake(canaries.canaries_are_counted_as_users, "a training of a tuned service", "count"),
    Mistake(service.half_of_the_noise_of_click_rates, "the canaries of ads", "audit"),
    Mistake(service.half_of_the_noise_of_purchases, "the canaries of demand", "audit"),
    Mistake(service.half_of_the_noise_of_searches, "the canaries of search", "audit"),
    Mistake(service.half_of_the_noise_of_click_rates, "rates of ads, replayed", "answers"),
    Mistake(service.half_of_the_noise_of_purchases, "naive demand, replayed", "answers"),
    Mistake(service.half_of_the_noise_of_searches, "fused search, replayed", "answers"),
    Mistake(service.impressions_are_scaled_and_not_clipped, "rates of ads, replayed", "sensitivity"),
    Mistake(service.looks_are_counted_in_pairs_and_not_scaled, "rates of ads, replayed", "sensitivity"),
    Mistake(service.purchases_are_not_bounded, "naive demand, replayed", "sensitivity"),
    Mistake(service.the_norm_of_purchases_is_not_clipped, "naive demand, replayed", "sensitivity"),
    Mistake(service.items_that_were_taken_count_in_full, "fused search, replayed", "sensitivity"),
    Mistake(service.phrases_that_were_searched_count_in_full, "fused search, replayed", "sensitivity"),
    Mistake(rank.every_rank_adds_noise, "a training on two devices", "noise"),
    Mistake(rank.no_rank_adds_noise, "a training on two devices", "noise"),
    Mistake(rank.every_rank_samples_all_users, "a training on two devices", "sampling"),
    Mistake(ledger.a_trial_of_a_tuning_is_not_charged, "a training of a tuned service", "ledger"),
    Mistake(ledger.a_release_that_failed_is_free, "every end of a release", "ledger"),
    Mistake(ledger.a_dead_process_gets_its_charge_back, "every end of a release", "ledger"),
    Mistake(ledger.the_charge_is_what_the_mechanism_says_it_ran, "every end of a release", "ledger"),
    Mistake(ledger.the_charge_is_what_the_mechanism_says_it_ran, "a training within its release", "ledger"),
    Mistake(ledger.only_the_first_block_is_charged, "every end of a release", "ledger"),
    Mistake(ledger.doing_it_again_is_free, "every end of a release", "ledger"),
    Mistake(ledger.a_mechanism_runs_outside_of_any_release, "every end of a release", "ledger"),
    Mistake(ledger.the_divergence_is_halved, "every end of a release", "ledger"),
    Mistake(ledger.sampling_is_credited_twice, "a training within its release", "ledger"),
    Mistake(ledger.what_is_held_is_not_counted, "releases until nothing fits", "ledger"),
    Mistake(ledger.a_release_that_does_not_fit_is_let_in, "releases until nothing fits", "ledger"),
    Mistake(table.contributions_are_not_bounded, "tables with and without a user", "contribution"),
    Mistake(table.contributions_are_bounded_in_each_block, "tables with and without a user", "contribution"),
    Mistake(table.contributions_are_bounded_after_the_split, "tables with and without a user", "contribution"),
    Mistake(table.rows_are_split_and_not_users, "tables with and without a user", "contribution"),
    Mistake(table.rare_items_are_filtered_before_the_ledger_sees_them, "tables with and without a user", "leak"),
    Mistake(table.weights_are_scaled_by_everyones_largest, "tables with and without a user", "leak"),
]


def _slow(detector: str) -> list[pytest.MarkDecorator]:
    """Processes take their time to start."""
    return [pytest.mark.slow] if detector == "a training on two devices" else []


@pytest.mark.parametrize(
    "mistake",
    [pytest.param(one, id=f"{one.seed.__name__}-by-{one.detector}", marks=_slow(one.detector)) for one in MISTAKES],
)
def test_a_seeded_mistake_is_caught(mistake: Mistake, monkeypatch: Patch, tmp_path: Path) -> None:
    mistake.seed(monkeypatch)
    checks = {fault.check for fault in DETECTORS[mistake.detector](tmp_path)}
    assert mistake.check in checks, f"{mistake.detector} found {checks or 'nothing'}"


@pytest.mark.parametrize("detector", [pytest.param(one, marks=_slow(one)) for one in DETECTORS])
def test_the_code_as_it_is_passes(detector: str, tmp_path: Path) -> None:
    assert DETECTORS[detector](tmp_path) == []


@pytest.mark.parametrize("model", [trainings.Centred, trainings.Normalised])
def test_a_model_whose_rows_act_on_each_other_is_refused_and_without_the_guard_its_replay_fails(
    model: type, monkeypatch: Patch
) -> None:
    training = partial(trainings.training, model)
    assert {fault.check for fault in training()} == {"refused"}
    engine.rows_may_act_on_each_other(monkeypatch)
    assert "sensitivity" in {fault.check for fault in training()}

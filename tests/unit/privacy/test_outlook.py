"""By whom an account was spent, over a lifetime, and how many more trainings fit: held against the ledger itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.core.errors import BudgetExhausted, Misconfigured
from components.core.params import Cap
from components.privacy import accounting
from components.privacy.accounts import LIFETIME, Account, Hold, open_account
from components.privacy.outlook import (
    MOST,
    Planned,
    balanced,
    fits,
    lifetimes,
    require_caps_above_spent,
    uses,
)
from components.privacy.release import Event, Gaussian, SampledGaussian
from tests.unit.privacy.builders import CAP, ONE_SHOT, STEPS, open_ledger, private, release_of

COUNT = Gaussian(noise_multiplier=15.0)


def planned(*events: Event, split: str = "train") -> list[Planned]:
    return [Planned("candidate", f"m{place}", split, 1e-6, event) for place, event in enumerate(events)]


def hold(
    event: Event, *, blocks: tuple[str, ...] = ("2000Q4",), stage: str = "settled", mechanism: str = "gram"
) -> Hold:
    settled = event if stage == "settled" else None
    return Hold("k", 1, release_of(event, blocks=blocks, mechanism=mechanism), stage=stage, settled=settled)


def account(holds: list[Hold], cap: Cap = CAP, block: str = "2000Q4") -> Account:
    return balanced(open_account(block, "train", cap), holds)


@pytest.mark.parametrize("training", [[ONE_SHOT], [COUNT, ONE_SHOT], [COUNT, ONE_SHOT, STEPS]])
def test_as_many_trainings_as_are_said_to_fit_are_let_in_and_not_one_more(
    tmp_path: Path, training: list[Event]
) -> None:
    ledger, number = open_ledger(tmp_path, Cap(epsilon=5, delta=1e-6)), 0

    def train() -> None:
        nonlocal number
        for event in training:
            number += 1
            with ledger.release(release_of(event), key=f"{number}", of=private()) as opened:
                opened.intend(1)

    train()
    [found] = fits(ledger.accounts(), planned(*training), ledger.holds())
    assert found.by_filter > 1
    for _ in range(found.by_filter):
        train()
    assert fits(ledger.accounts(), planned(*training), ledger.holds())[0].by_filter == 0
    with pytest.raises(BudgetExhausted):
        train()


@given(
    sigma=st.floats(1.0, 20.0),
    past=st.lists(st.floats(2.0, 20.0), max_size=4),
    epsilon=st.floats(1.0, 20.0),
)
@settings(max_examples=60, deadline=None)
def test_a_fixed_schedule_carries_what_pld_says_and_never_less_than_the_filter(
    sigma: float, past: list[float], epsilon: float
) -> None:
    cap = Cap(epsilon=epsilon, delta=1e-6)
    held = [hold(Gaussian(noise_multiplier=one)) for one in past]
    [found] = fits([account(held, cap)], planned(Gaussian(noise_multiplier=sigma)), held)
    events = [Gaussian(noise_multiplier=one) for one in past]

    def composed(times: int) -> float:
        return accounting.epsilon_of([*events, *[Gaussian(noise_multiplier=sigma)] * times], cap.delta)

    if found.by_pld:
        assert composed(found.by_pld) <= epsilon
    assert composed(found.by_pld + 1) > epsilon
    assert found.by_filter <= found.by_pld


def test_sampled_steps_are_composed_with_what_was_before() -> None:
    held = [hold(ONE_SHOT), hold(STEPS, stage="started")]
    [found] = fits([account(held)], planned(COUNT, STEPS), held)
    spent = [ONE_SHOT, STEPS]
    for times, fit in ((found.by_pld, True), (found.by_pld + 1, False)):
        many = [*spent, COUNT.model_copy(update={"count": times}), STEPS.model_copy(update={"steps": 10 * times})]
        assert (accounting.epsilon_of(many, CAP.delta, grid=accounting.COARSE) <= CAP.epsilon) is fit


def test_a_training_that_does_not_touch_an_account_fits_without_end() -> None:
    [found] = fits([account([])], planned(ONE_SHOT, split="test"), [])
    assert (found.share, found.by_filter, found.by_pld) == (0.0, MOST, MOST)


def test_nothing_fits_into_an_account_that_is_spent() -> None:
    held = [hold(Gaussian(noise_multiplier=0.3))]
    [found] = fits([account(held)], planned(ONE_SHOT), held)
    assert (found.by_filter, found.by_pld) == (0, 0)


def test_a_loss_beyond_any_figure_does_not_fit() -> None:
    loud = SampledGaussian(noise_multiplier=0.05, sample_rate=0.9, steps=10_000_000)
    [found] = fits([account([])], planned(loud), [])
    assert (found.by_filter, found.by_pld) == (0, 0)


def test_the_parts_of_an_account_are_named_by_whom_and_add_up_to_what_is_gone() -> None:
    held = [
        hold(ONE_SHOT),
        hold(ONE_SHOT),
        hold(STEPS, stage="started", mechanism="dp_sgd"),
        hold(COUNT, stage="released"),
    ]
    balance = account(held)
    found = uses(balance, held)
    assert [(use.mechanism, use.releases) for use in found] == [("gram", 2), ("dp_sgd", 1)]
    assert sum(use.spent + use.held for use in found) == pytest.approx(1 - balance.rdp_left / balance.rdp_cap)
    assert found[0].held == found[1].spent == 0


def test_an_account_names_only_who_read_its_blocks() -> None:
    held = [hold(ONE_SHOT), hold(STEPS, blocks=("2001Q1",), mechanism="dp_sgd")]
    assert [use.mechanism for use in uses(account(held), held)] == ["gram"]
    assert [use.mechanism for use in uses(account(held, block="2001Q1"), held)] == ["dp_sgd"]


def test_a_lifetime_composes_each_release_once_however_many_blocks_it_read() -> None:
    held = [hold(ONE_SHOT, blocks=("2000Q4", "2001Q1")), hold(STEPS, blocks=("2001Q1",))]
    accounts = [account(held), account(held, block="2001Q1")]
    [found] = lifetimes(accounts, held, cap=CAP, lifetime_cap=None)
    assert not found.bounded
    assert not found.opened
    order = found.account.order
    assert found.account.rdp_spent == pytest.approx(accounting.rdp(ONE_SHOT, order) + accounting.rdp(STEPS, order))
    assert found.account.spent >= max(one.spent for one in accounts)


def test_a_lifetime_cap_is_that_of_the_ledger_once_a_release_was_made_under_it(tmp_path: Path) -> None:
    first, lifetime = open_ledger(tmp_path, CAP), Cap(epsilon=20, delta=1e-6)
    with first.release(release_of(), key="a", of=private()) as opened:
        opened.intend(1)
    [asked] = lifetimes(first.accounts(), first.holds(), cap=CAP, lifetime_cap=lifetime)
    assert (asked.bounded, asked.opened, asked.account.cap) == (True, False, lifetime)
    second = open_ledger(tmp_path, CAP, lifetime_cap=lifetime)
    with second.release(release_of(blocks=("2001Q1",)), key="b", of=private(blocks=("2001Q1",))) as opened:
        opened.intend(1)
    [found] = lifetimes(second.accounts(), second.holds(), cap=CAP, lifetime_cap=None)
    assert (found.bounded, found.opened, found.account.block) == (True, True, LIFETIME)
    assert found.account.spent > asked.account.spent > 0


@pytest.mark.parametrize("key", ["cap", "lifetime_cap"])
def test_a_cap_below_what_is_spent_is_refused_with_the_key_the_cap_and_the_figure(key: str) -> None:
    held = [hold(ONE_SHOT)]
    low = {"cap": CAP, "lifetime_cap": None, key: Cap(epsilon=1, delta=1e-6)}
    with pytest.raises(Misconfigured, match=rf"privacy\.{key} is below .*cap ε = 1, spent ε = \d\.\d+ at δ = 1e-06"):
        require_caps_above_spent([account(held)], held, blocks=("2000Q4",), **low)


def test_a_lower_cap_than_spent_is_no_matter_for_blocks_that_are_not_read() -> None:
    held = [hold(ONE_SHOT)]
    low = Cap(epsilon=1, delta=1e-6)
    require_caps_above_spent([account(held)], held, blocks=("2001Q1",), cap=low, lifetime_cap=None)
    require_caps_above_spent([account(held)], held, blocks=("2000Q4",), cap=CAP, lifetime_cap=CAP)

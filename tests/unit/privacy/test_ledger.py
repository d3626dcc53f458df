import pytest

from components.core.errors import BudgetExhausted, ContractBroken, Unavailable
from components.core.params import Cap
from components.core.private import Private
from components.core.records import Population
from components.privacy import accounting
from components.privacy.accounts import LIFETIME
from components.privacy.ledger import once, require_same_ledger
from components.privacy.release import Gaussian
from tests.unit.privacy.builders import CAP, ONE_SHOT, STEPS, balance, open_ledger, private, release_of, verbs


def never_read():
    raise AssertionError("the private value was read")


UNREADABLE = Private(_load=never_read, digest="d", blocks=("2000Q4",), split="train")


def test_genesis_is_made_once_and_differs_between_homes(home, tmp_path):
    first, again, other = open_ledger(home), open_ledger(home), open_ledger(tmp_path / "other")
    assert first.genesis == again.genesis
    assert first.genesis != other.genesis


def test_a_release_opens_the_value_settles_and_charges_its_account(ledger, output):
    with ledger.release(release_of(), key="k", of=private()) as opened:
        assert opened.value == (1, 2, 3)
        opened.ran(ONE_SHOT)
        settled = opened.keep(output)
    assert verbs(ledger) == ["genesis", "open", "reserve", "start", "settle"]
    account = balance(ledger)
    assert account.rdp_spent == accounting.rdp(ONE_SHOT, account.order)
    assert account.rdp_held == 0
    assert account.spent + account.held + account.left == pytest.approx(CAP.epsilon)
    assert (settled.folder / "inner" / "weights").read_bytes() == b"\x01\x02"
    assert ledger.settled("k") == settled


def test_a_release_that_does_not_fit_is_refused_before_anything_is_read(ledger):
    greedy = release_of(Gaussian(noise_multiplier=0.1))
    with (
        pytest.raises(BudgetExhausted, match=r"spent .*left .*asked .*limit ε = 10 at δ = 1e-06.*Ask for less"),
        ledger.release(greedy, key="k", of=UNREADABLE) as opened,
    ):
        _ = opened.value
    assert verbs(ledger) == ["genesis"]


def test_what_is_held_cannot_be_asked_for_by_another_release(ledger):
    large = release_of(Gaussian(noise_multiplier=0.75))
    with (
        ledger.release(large, key="first", of=private()),
        pytest.raises(BudgetExhausted, match=r"held 5[0-9]"),
        ledger.release(large, key="second", of=UNREADABLE),
    ):
        pass
    with ledger.release(large, key="second", of=private()) as opened:  # the first was given back unstarted
        assert opened.attempt == 1


def test_a_release_that_read_nothing_costs_nothing(ledger):
    with ledger.release(release_of(), key="k", of=UNREADABLE):
        pass
    assert balance(ledger).rdp_spent == balance(ledger).rdp_held == 0
    assert ledger.settled("k") is None
    assert verbs(ledger)[-1] == "release"


@pytest.mark.parametrize("event", [ONE_SHOT, STEPS])
def test_an_exception_after_the_start_is_charged_in_full(ledger, event):
    with pytest.raises(KeyError), ledger.release(release_of(event), key="k", of=private({})) as opened:
        opened.value["what the rows lack"]
    account = balance(ledger)
    assert account.rdp_spent == accounting.rdp(event, account.order)
    assert ledger.settled("k").output is None


def test_leaving_the_block_without_an_output_is_charged_in_full(ledger):
    with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
        opened.intend(1)
    assert ledger.settled("k").event == STEPS


def test_a_release_over_blocks_charges_every_block_or_none(ledger):
    with ledger.release(release_of(Gaussian(noise_multiplier=0.6)), key="a", of=private()) as opened:
        _ = opened.value
    both, blocks = release_of(Gaussian(noise_multiplier=0.6), blocks=("2000Q4", "2001Q1")), ("2000Q4", "2001Q1")
    with pytest.raises(BudgetExhausted, match="2000Q4/train"), ledger.release(both, key="b", of=private(blocks=blocks)):
        pass
    assert [account.block for account in ledger.accounts()] == ["2000Q4"]
    small = release_of(ONE_SHOT, blocks=blocks)
    with ledger.release(small, key="c", of=private(blocks=blocks)) as opened:
        _ = opened.value
    assert balance(ledger, "2001Q1").rdp_spent == accounting.rdp(ONE_SHOT, 4)


def test_splits_have_accounts_of_their_own(ledger):
    for split in ("train", "validation", "test"):
        of = private(split=split)
        with ledger.release(release_of(Gaussian(noise_multiplier=0.6), split=split), key=split, of=of) as opened:
            _ = opened.value
    assert {account.split for account in ledger.accounts()} == {"train", "validation", "test"}


def test_a_release_cannot_read_what_it_does_not_charge(ledger):
    for of in (private(blocks=("2000Q4", "2001Q1")), private(split="test")):
        with (
            pytest.raises(ContractBroken, match="charges other accounts"),
            ledger.release(release_of(), key="k", of=of),
        ):
            pass


def test_steps_settle_with_what_ran_and_never_below_what_was_intended(ledger, output):
    for key, intended, ran, charged in (("less", 3, 3, 3), ("lied", 7, 2, 7)):
        with ledger.release(release_of(STEPS), key=key, of=private()) as opened:
            for _ in range(intended):
                opened.intend(1)
            opened.ran(STEPS.model_copy(update={"steps": ran}))
            settled = opened.keep(output)
        assert (settled.event.steps, settled.intended, settled.ran) == (charged, intended, ran)


def test_more_steps_than_are_held_cannot_be_intended(ledger):
    with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
        opened.intend(9)
        with pytest.raises(BudgetExhausted, match="spent 9, asked 2, left 1"):
            opened.intend(2)
        opened.intend(1)
        with pytest.raises(ContractBroken, match="at least one"):
            opened.intend(0)


def test_every_intent_is_durable_before_it_returns(home, ledger):
    with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
        opened.intend(4)
        assert verbs(open_ledger(home))[-2:] == ["start", "intend"]


def test_another_mechanism_than_was_reserved_is_refused_and_charged_in_full(ledger):
    for key, event in (
        ("noise", STEPS.model_copy(update={"noise_multiplier": 1.0})),
        ("rate", STEPS.model_copy(update={"sample_rate": 0.5})),
        ("steps", STEPS.model_copy(update={"steps": 11})),
        ("kind", ONE_SHOT),
    ):
        with (
            pytest.raises(ContractBroken, match="something else than it reserved"),
            ledger.release(release_of(STEPS), key=key, of=private()) as opened,
        ):
            opened.ran(event)
        assert ledger.settled(key).event == STEPS


def test_nothing_is_drawn_from_a_release_that_has_ended(ledger, output):
    with ledger.release(release_of(STEPS), key="k", of=private()) as opened:
        opened.keep(output)
        for late in (lambda: opened.intend(1), lambda: opened.value, lambda: opened.keep(output)):
            with pytest.raises(ContractBroken, match="has ended"):
                late()
    with pytest.raises(ContractBroken, match="has ended"):
        _ = opened.value


def test_a_settled_key_is_found_and_costs_nothing_again(ledger, output):
    calls = []

    def mechanism(value, intend, out):
        calls.append(value)
        (out / "model").write_text("learnt")
        return ONE_SHOT

    first = once(ledger, release_of(), "k", private(), mechanism)
    again = once(ledger, release_of(), "k", UNREADABLE, mechanism)
    assert first == again
    assert len(calls) == 1
    with pytest.raises(ContractBroken, match="is settled"), ledger.release(release_of(), key="k", of=UNREADABLE):
        pass


def test_where_the_output_is_gone_doing_it_again_is_a_new_charge(ledger, output):
    import shutil

    def mechanism(value, intend, out):
        (out / "model").write_text("learnt")
        return ONE_SHOT

    first = once(ledger, release_of(), "k", private(), mechanism)
    shutil.rmtree(first.folder)
    assert ledger.settled("k").folder is None
    assert once(ledger, release_of(), "k", private(), mechanism).attempt == 2
    assert balance(ledger).rdp_spent == 2 * accounting.rdp(ONE_SHOT, 4)
    assert [hold.charged for hold in ledger.holds()] == [ONE_SHOT, ONE_SHOT]


def test_a_changed_output_is_refused(ledger, output):
    with ledger.release(release_of(), key="k", of=private()) as opened:
        settled = opened.keep(output)
    (settled.folder / "config.json").write_text('{"better": true}')
    with pytest.raises(ContractBroken, match="was changed"):
        ledger.settled("k")


def test_a_record_is_kept_and_read_back(ledger):
    count = Population(split="train", noised=3.2, lower_bound=1, release="r", ledger=ledger.genesis)
    with ledger.release(release_of(), key="k", of=private()) as opened:
        opened.keep(count)
    assert ledger.settled("k").record(Population) == count


def test_the_same_key_is_not_worked_at_twice_at_once(ledger):
    with (
        ledger.release(release_of(), key="k", of=private()),
        pytest.raises(Unavailable, match="at work on this release"),
        ledger.release(release_of(), key="k", of=UNREADABLE),
    ):
        pass


def test_an_account_keeps_the_cap_and_the_order_that_it_opened_with(home, ledger):
    with ledger.release(release_of(), key="k", of=private()):
        pass
    generous = open_ledger(home, Cap(epsilon=100, delta=1e-6))
    assert (balance(generous).cap, balance(generous).order) == (CAP, 4)


def test_a_lifetime_cap_is_charged_by_every_release_of_the_split(home):
    ledger = open_ledger(home, lifetime_cap=Cap(epsilon=6, delta=1e-6))
    large = Gaussian(noise_multiplier=1.1)
    with ledger.release(release_of(large), key="a", of=private()) as opened:
        _ = opened.value
    later = private(blocks=("2001Q1",))
    with (
        pytest.raises(BudgetExhausted, match=f"{LIFETIME}/train"),
        ledger.release(release_of(large, blocks=("2001Q1",)), key="b", of=later),
    ):
        pass
    assert balance(ledger, LIFETIME).rdp_spent > 0


def test_a_lifetime_cap_that_was_once_set_goes_on_being_charged(home, output):
    spend = {"of": private(blocks=("2000Q4",))}
    with open_ledger(home, lifetime_cap=Cap(epsilon=6, delta=1e-6)).release(release_of(), key="k", **spend) as opened:
        opened.keep(output)
    later = open_ledger(home)
    with (
        pytest.raises(BudgetExhausted, match="account lifetime/train"),
        later.release(release_of(Gaussian(noise_multiplier=0.7)), key="m", **spend),
    ):
        pass


def test_a_lifetime_account_counts_what_was_released_before_it_was_set(home):
    with open_ledger(home).release(release_of(), key="a", of=private()) as opened:
        _ = opened.value
    ledger = open_ledger(home, lifetime_cap=Cap(epsilon=6, delta=1e-6))
    with ledger.release(release_of(), key="b", of=private()) as opened:
        _ = opened.value
    account = balance(ledger, LIFETIME)
    assert account.rdp_spent == pytest.approx(2 * accounting.rdp(ONE_SHOT, account.order))


def test_evidence_from_another_ledger_is_refused(ledger, tmp_path):
    other = open_ledger(tmp_path / "elsewhere")
    require_same_ledger(ledger.genesis, ledger)
    with pytest.raises(ContractBroken, match="another ledger"):
        require_same_ledger(other.genesis, ledger)

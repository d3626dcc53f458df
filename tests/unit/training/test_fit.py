import copy
import inspect
import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from components.core.errors import ContractBroken, Misconfigured
from components.privacy.accounts import steps_of
from components.privacy.plan import PerformanceFlags
from components.training.fit import fit
from tests.unit.privacy.builders import open_ledger, private, release_of
from tests.unit.training.toy import ITEMS, Autoencoder, Intents, plan_of, rows_of, vector


def mean_loss(module, rows):
    with torch.no_grad():
        return float(module.losses(torch.from_numpy(rows.toarray())).mean())


def test_the_same_module_trains_with_and_without_privacy_by_one_parameter():
    rows = rows_of()
    for schedule in ({"plan": plan_of(steps=40), "intend": Intents()}, {"plan": None, "steps": 40, "batch_size": 80}):
        module = Autoencoder()
        before = mean_loss(module, rows)
        fitted = fit(module, rows, **schedule)
        assert fitted.steps == len(fitted.losses) == 40
        assert mean_loss(module, rows) < 0.98 * before


@pytest.mark.slow
def test_noise_of_a_thousand_destroys_what_is_learnt():
    rows = rows_of()
    plain = Autoencoder()
    noisy = copy.deepcopy(plain)  # another start would be better or worse by itself
    before = mean_loss(plain, rows)
    fit(plain, rows, plan=plan_of(noise_multiplier=0.01, steps=30), intend=Intents())
    fit(noisy, rows, plan=plan_of(noise_multiplier=1000.0, steps=30), intend=Intents())
    assert mean_loss(plain, rows) < before < mean_loss(noisy, rows)


def test_the_steps_of_the_ledger_are_those_of_the_optimizer(tmp_path):
    ledger, plan, module = open_ledger(tmp_path), plan_of(steps=12, noise_multiplier=2.0), Autoencoder()
    with ledger.release(release_of(plan.event), key="k", of=private(rows_of())) as opened:
        fitted = fit(module, opened.value, plan=plan, intend=opened.intend)
        opened.ran(plan.event.model_copy(update={"steps": fitted.steps}))
        (tmp_path / "bundle").mkdir()
        settled = opened.keep(tmp_path / "bundle")
    assert settled.intended == settled.ran == fitted.steps == steps_of(settled.event) == 12
    assert [entry.verb for entry in ledger.entries()].count("intend") == 12


def test_every_intent_is_durable_before_its_step_moves_the_model():
    module, seen = Autoencoder(), []
    fit(module, rows_of(), plan=plan_of(steps=3), intend=lambda steps: seen.append(vector(module)))
    assert len(seen) == 3
    assert not any(torch.equal(a, b) for a, b in zip(seen, [*seen[1:], vector(module)], strict=True))


def test_training_stops_where_nothing_more_is_held():
    intents = Intents(held=7)
    fitted = fit(Autoencoder(), rows_of(), plan=plan_of(steps=20), intend=intents)
    assert fitted.steps == intents.steps == 7


def test_a_training_that_is_refused_its_intent_leaves_the_model_as_it_was():
    module = Autoencoder()
    before = vector(module)
    fit(module, rows_of(), plan=plan_of(), intend=Intents(held=0))
    assert torch.equal(vector(module), before)


@pytest.mark.parametrize("users", [0, 1])
def test_nobody_to_learn_from_is_no_reason_to_stop(users):
    fitted = fit(Autoencoder(), rows_of(users), plan=plan_of(sample_rate=0.01, steps=4), intend=Intents())
    assert fitted.steps == 4


class Users(Dataset):
    def __init__(self, rows):
        self.rows = torch.from_numpy(rows.toarray())

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, user):
        return self.rows[user]


@pytest.mark.parametrize(
    "form", [lambda rows: rows, lambda rows: rows.toarray(), lambda rows: torch.tensor(rows.toarray())]
)
def test_rows_may_be_sparse_dense_or_a_tensor(form):
    assert fit(Autoencoder(), form(rows_of(50)), plan=plan_of(steps=2), intend=Intents()).steps == 2


def test_rows_may_be_a_dataset_if_the_module_brings_made_up_rows():
    module = Autoencoder()
    with pytest.raises(Misconfigured, match="example_input_array"):
        fit(module, Users(rows_of(50)), plan=plan_of(steps=2), intend=Intents())
    module.example_input_array = torch.ones(2, ITEMS)
    assert fit(module, Users(rows_of(50)), plan=plan_of(steps=2, sample_rate=0.001), intend=Intents()).steps == 2


@pytest.mark.parametrize(
    "schedule",
    [
        {"plan": plan_of(), "intend": Intents(), "steps": 5},
        {"plan": plan_of(), "intend": Intents(), "batch_size": 5},
        {"plan": plan_of()},
        {"plan": None},
        {"plan": None, "steps": 5},
    ],
)
def test_a_schedule_comes_from_one_place(schedule):
    with pytest.raises(Misconfigured):
        fit(Autoencoder(), rows_of(20), **schedule)


def test_nothing_in_the_signature_can_set_noise_or_rate_beside_the_plan():
    parameters = set(inspect.signature(fit).parameters)
    assert not parameters & {
        "noise_multiplier",
        "sample_rate",
        "q",
        "max_grad_norm",
        "epsilon",
        "accumulate_grad_batches",
    }
    assert set(PerformanceFlags.model_fields) == {"accelerator", "devices", "grad_sample_mode", "physical_batch_size"}


def test_flags_do_not_change_the_step():
    ends = []
    for flags in (PerformanceFlags(physical_batch_size=9), PerformanceFlags(grad_sample_mode="hooks")):
        torch.manual_seed(0)
        module = Autoencoder()
        plan = plan_of(noise_multiplier=1e-6, sample_rate=1.0, steps=3)
        fit(module, rows_of(60), plan=plan, intend=Intents(), flags=flags)
        ends.append(vector(module))
    torch.testing.assert_close(*ends, rtol=1e-3, atol=1e-3)


def test_progress_counts_steps_and_nothing_is_printed(capfd):
    seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(
            Autoencoder(),
            rows_of(40),
            plan=plan_of(steps=3),
            intend=Intents(),
            progress=lambda *call: seen.append(call),
        )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert capfd.readouterr() == ("", "")


def test_what_is_not_finite_is_refused():
    with pytest.raises(ContractBroken, match="not finite"):
        fit(Autoencoder(float("inf")), rows_of(40), plan=plan_of(steps=2), intend=Intents())


def test_a_user_whose_row_is_not_finite_does_not_spoil_the_model():
    rows = rows_of(40).toarray()
    rows[3] = np.nan
    module = Autoencoder()
    fit(module, rows, plan=plan_of(steps=3, sample_rate=1.0), intend=Intents())
    assert torch.isfinite(vector(module)).all()

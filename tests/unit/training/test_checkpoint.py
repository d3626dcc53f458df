import pytest
import torch

from components.core.errors import ContractBroken
from components.training import checkpoint
from components.training.fit import fit
from tests.unit.training.toy import Autoencoder, Intents, plan_of, rows_of, vector


class Crash(Exception):
    pass


def crash_at(step, intents):
    def intend(steps):
        intents(steps)
        if intents.steps == step:
            raise Crash

    return intend


def crashed(folder, intents, at=8, every=5):
    module = Autoencoder()
    with pytest.raises(Crash):
        fit(
            module,
            rows_of(),
            plan=plan_of(steps=12),
            intend=crash_at(at, intents),
            checkpoints=folder,
            checkpoint_every=every,
        )
    return module


def test_a_resumed_training_takes_the_steps_that_are_missing_and_intends_the_redone_again(tmp_path):
    intents = Intents()
    crashed(tmp_path, intents)  # 8 intended, 7 taken, a checkpoint at 5
    assert intents.steps == 8
    fitted = fit(Autoencoder(), rows_of(), plan=plan_of(steps=12), intend=intents, checkpoints=tmp_path)
    assert (fitted.resumed_from, fitted.steps) == (5, 7)
    assert intents.steps == 8 + 7


def test_resume_restores_the_count_before_anything_is_drawn(tmp_path):
    crashed(tmp_path, Intents())
    seen = []
    fit(
        Autoencoder(),
        rows_of(),
        plan=plan_of(steps=12),
        intend=Intents(),
        checkpoints=tmp_path,
        progress=lambda done, total: seen.append(done),
    )
    assert seen == [6, 7, 8, 9, 10, 11, 12]


def test_resume_restores_the_model_and_the_optimizer(tmp_path):
    crashed(tmp_path, Intents())
    kept = checkpoint.read(tmp_path, stored_plan(tmp_path))
    module, starts = Autoencoder(), []
    fit(
        module,
        rows_of(),
        plan=plan_of(steps=12),
        intend=lambda steps: starts.append(vector(module)),
        checkpoints=tmp_path,
    )
    saved = torch.cat([value.flatten() for value in kept.module.values()])
    assert torch.equal(starts[0], saved)
    assert kept.optimizer["state"][0]["step"] == 5


def test_the_noise_after_a_resume_is_not_the_noise_before(tmp_path):
    crashed(tmp_path, Intents())
    kept = (tmp_path / checkpoint.NAME).read_bytes()
    ends = []
    for _ in range(2):
        (tmp_path / checkpoint.NAME).write_bytes(kept)
        torch.manual_seed(1)
        module = Autoencoder()
        fitted = fit(module, rows_of(), plan=plan_of(steps=12), intend=Intents(), checkpoints=tmp_path)
        assert fitted.resumed_from == 5
        ends.append(vector(module))
    assert float(torch.isclose(*ends, rtol=0, atol=1e-6).float().mean()) < 0.01


def test_a_checkpoint_holds_no_generator_and_no_noise(tmp_path):
    crashed(tmp_path, Intents())
    raw = torch.load(tmp_path / checkpoint.NAME, weights_only=True)
    assert set(raw) == {"steps", "plan", "module", "optimizer", "watched"}
    assert raw["watched"] is None


def test_a_finished_training_resumes_to_nothing(tmp_path):
    fit(Autoencoder(), rows_of(), plan=plan_of(steps=4), intend=Intents(), checkpoints=tmp_path)
    intents = Intents()
    fitted = fit(Autoencoder(), rows_of(), plan=plan_of(steps=4), intend=intents, checkpoints=tmp_path)
    assert (fitted.steps, fitted.resumed_from, intents.steps) == (0, 4, 0)


def test_a_checkpoint_of_another_plan_is_refused(tmp_path):
    crashed(tmp_path, Intents())
    with pytest.raises(ContractBroken, match="of another plan"):
        fit(Autoencoder(), rows_of(), plan=plan_of(steps=13), intend=Intents(), checkpoints=tmp_path)


def test_half_a_checkpoint_is_refused(tmp_path):
    crashed(tmp_path, Intents())
    path = tmp_path / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ContractBroken, match="cannot be read"):
        fit(Autoencoder(), rows_of(), plan=plan_of(steps=12), intend=Intents(), checkpoints=tmp_path)


def stored_plan(folder):
    return torch.load(folder / checkpoint.NAME, weights_only=True)["plan"]

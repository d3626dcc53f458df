from dataclasses import replace

import mlflow
import pytest

from components.core import digest
from components.core.errors import ApprovalInvalid, ContractBroken, GateNotMet, Refused
from components.privacy.statement import statement
from components.registry import models, tracking
from components.registry.card import model_card
from components.registry.store import prepare_store
from tests.unit.privacy.stated import AUDIT, FACTS

from .echo import Answer, bundle
from .people import DATA, evidence, versioned
from .test_tracking import candidate, training


def test_a_version_is_found_again_with_all_that_it_came_from(settings, echo):
    number, of = versioned(settings, echo)
    version = prepare_store(settings).get_model_version("jali-echo", str(number))
    assert version.tags["jali.bundle"] == of.verdict.bundle
    assert version.tags["jali.author"] == "ana"
    assert version.description == model_card(of)
    assert models.evidence_of(settings, "echo", number) == of
    assert models.data_of(settings, "echo", number) == DATA
    assert models.alias(settings, "echo", models.CHALLENGER) == number
    assert models.alias(settings, "echo", models.CHAMPION) is None
    assert digest.of_path(settings.home / "store" / of.verdict.bundle) == of.verdict.bundle


def test_the_card_lists_each_gap_as_its_own_sentence(settings):
    of = evidence(settings.home)
    gaps = ("The catalogue: public.", "Groups: protected less.")
    card = model_card(replace(of, **_restated(of, not_covered=gaps)))
    for gap in gaps:
        assert f"\n- {gap}\n" in card
    assert ".;" not in card
    assert ".." not in card.replace("...", "")
    assert "Not covered" not in model_card(replace(of, **_restated(of, not_covered=())))


def test_the_card_holds_the_whole_statement_and_fits_into_the_registrys_column(settings):
    of = evidence(settings.home)
    stated = statement(**FACTS, audit=AUDIT)
    card = model_card(
        replace(of, **_restated(of, **{name: getattr(stated, name) for name in type(stated).model_fields}))
    )
    for said in (
        *(stated.unit, stated.neighbours, stated.mechanism, stated.lifetime, stated.audit, stated.joint),
        *(stated.trusted_zone, "2000Q4, 2001Q1", "max_grad_norm 1", "train ε = ", "validation ε = ", "test ε = "),
        *(f"{name} {figure:.4g}" for name, figure in stated.accountants.items()),
        *(f"| {one.mechanism} | {one.split} | {one.noise_multiplier:.3g} |" for one in stated.charged),
        *(gap for gap in stated.not_covered if not gap.startswith(("The trusted zone", "What one user is shown"))),
    ):
        assert said in card, said
    assert len(card) < 5000


def test_a_mechanism_with_many_parameters_names_the_first_and_says_how_many_there_are_besides(settings):
    of = evidence(settings.home)
    stated = statement(**FACTS, audit=AUDIT)
    fields = {name: getattr(stated, name) for name in type(stated).model_fields}
    many = {f"parameter {place}": "of some length" for place in range(200)}
    charged = tuple(one.model_copy(update={"parameters": many}) for one in stated.charged)
    card = model_card(replace(of, **_restated(of, **fields | {"charged": charged})))
    assert "(parameter 0 of some length, " in card
    assert "more in the statement)" in card
    assert len(card) < 5000


def test_the_same_bundle_and_verdict_are_registered_once(settings, echo):
    first, _ = versioned(settings, echo)
    second, _ = versioned(settings, echo)
    other, _ = versioned(settings, echo, times=2)
    assert (first, second, other) == (1, 1, 2)


def test_a_version_answers_through_mlflow_as_through_the_service(settings, echo):
    number, _ = versioned(settings, echo, times=3)
    model = mlflow.pyfunc.load_model("models:/jali-echo@challenger")
    assert model.predict([{"history": ["x", "y"], "k": 1}]) == [Answer(items=["x"], times=3)]
    assert model.metadata.signature.inputs is not None
    assert model.input_example == [{"history": ["a", "b"], "k": 2}]
    with pytest.raises(mlflow.exceptions.MlflowException, match="less than or equal to 100"):
        model.predict([{"history": ["x"], "k": 1000}])
    assert number == 1


def copy_of(settings):
    return next((settings.root / "mlruns" / "artifacts").rglob("weights.safetensors"))


def test_a_changed_copy_is_not_loaded(settings, echo):
    number, of = versioned(settings, echo)
    models.require_copy(settings, "echo", number, of.verdict.bundle)
    copy_of(settings).write_bytes(b"flipped")
    with pytest.raises(ContractBroken, match="not the one that was registered"):
        mlflow.pyfunc.load_model("models:/jali-echo@challenger")
    with pytest.raises(ContractBroken, match="not the bundle that was registered"):
        models.require_copy(settings, "echo", number, of.verdict.bundle)


def test_no_pickle_is_among_a_versions_artifacts(settings, echo):
    versioned(settings, echo)
    suffixes = {path.suffix for path in (settings.root / "mlruns" / "artifacts").rglob("*") if path.is_file()}
    assert suffixes <= {"", ".py", ".txt", ".yaml", ".json", ".html", ".safetensors"}


def test_a_ceiling_is_never_registered(settings, echo, tmp_path):
    folder = bundle(tmp_path / "bundle")
    parent = tracking.start_training(settings, training(settings))
    run = tracking.log_ceiling(settings, parent, "ease", {"ndcg_at_100": 0.3})
    with pytest.raises(Refused, match="can be compared, never registered"):
        models.register(settings, echo, evidence(settings.home, bundle=digest.of_path(folder)), folder, run, DATA)
    assert models.alias(settings, "echo", models.CHALLENGER) is None


def test_what_is_no_candidate_of_the_service_is_never_registered(settings, echo, tmp_path):
    with pytest.raises(Refused, match="can be compared, never registered"):
        versioned(settings, echo, candidate="ease")


def test_a_version_that_failed_a_gate_is_not_registered(settings, echo):
    with pytest.raises(GateNotMet, match="failed epsilon"):
        versioned(settings, echo, passed=False)


def test_a_bundle_that_was_not_judged_is_not_registered(settings, echo, tmp_path):
    of = evidence(settings.home, bundle=digest.of_path(bundle(tmp_path / "judged")))
    run = tracking.log_candidate(settings, tracking.start_training(settings, training(settings)), candidate())
    with pytest.raises(ContractBroken, match="not the one that was judged"):
        models.register(settings, echo, of, bundle(tmp_path / "other", times=2), run, DATA)


def test_an_author_whom_the_reviewed_file_does_not_know_registers_nothing(settings, echo):
    settings.identities.write_text("")
    with pytest.raises(ApprovalInvalid, match="does not know"):
        versioned(settings, echo)


def test_an_unknown_version_is_refused(settings, echo):
    with pytest.raises(Refused, match="no such version"):
        models.data_of(settings, "echo", 7)


def _restated(of, **changes):
    stated = of.statement.model_copy(update=changes)
    return {"statement": stated, "verdict": of.verdict.model_copy(update={"statement": stated.digest})}

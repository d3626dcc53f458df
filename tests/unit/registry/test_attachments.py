from components.registry.attachments import attach
from components.registry.store import prepare_store

from .people import versioned


def test_what_is_attached_is_in_the_version_s_run_and_its_training_s_and_the_newest_report_stands(
    settings, echo, tmp_path
):
    number, _ = versioned(settings, echo)
    picture = tmp_path / "attack.png"
    picture.write_bytes(b"\x89PNG")
    client = prepare_store(settings)
    run = client.get_run(client.get_model_version("jali-echo", str(number)).run_id)
    parent = client.create_run(run.info.experiment_id)
    client.set_tag(run.info.run_id, "mlflow.parentRunId", parent.info.run_id)
    runs = [run.info.run_id, parent.info.run_id]
    client.set_tag(runs[1], "mlflow.note.content", "It passed.")
    for outcome in ("old", "new"):
        attach(settings, "echo", number, title="## Attack", report=f"## Attack\n\n{outcome}", files=[picture])
    for run_id in runs:
        note = client.get_run(run_id).data.tags["mlflow.note.content"]
        assert note.count("## Attack") == 1
        assert note.endswith("new")
        assert [one.path for one in client.list_artifacts(run_id, "plots")] == ["plots/attack.png"]
    assert client.get_run(runs[1]).data.tags["mlflow.note.content"].startswith("It passed.\n\n## Attack")

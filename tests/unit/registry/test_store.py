import sqlite3
import subprocess
import sys

import pytest

from components.core.errors import Misconfigured, Unavailable
from components.registry.store import answering, experiment, prepare_store

from .conftest import settings_in


def test_an_experiment_is_made_once_with_its_artifacts_under_mlruns(settings):
    first = experiment(settings, "echo")
    assert experiment(settings, "echo") == first
    location = prepare_store(settings).get_experiment(first).artifact_location
    assert location == (settings.root / "mlruns" / "artifacts" / "echo").as_uri()


def test_a_leftover_of_the_file_store_is_refused_with_what_to_do(tmp_path):
    leftover = tmp_path / "mlruns" / "0" / "meta.yaml"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("name: Default")
    with pytest.raises(Misconfigured, match="Move that folder out"):
        prepare_store(settings_in(tmp_path))


@pytest.mark.slow  # MLflow itself tries for 20 seconds
def test_a_database_that_another_process_holds_is_unavailable(settings):
    client = prepare_store(settings)
    where = experiment(settings, "echo")
    holder = sqlite3.connect(settings.artifacts.parent / "mlflow.db")
    holder.execute("begin exclusive")
    try:
        with pytest.raises(Unavailable, match="does not answer"), answering(settings):
            client.create_run(where)
    finally:
        holder.close()


@pytest.mark.slow
def test_four_processes_that_come_first_make_one_quiet_database(tmp_path):
    program = (
        "import sys; from pathlib import Path; from components.core.settings import Settings;"
        "from components.registry.store import experiment; root = Path(sys.argv[1]);"
        "s = Settings(root=root, home=root, identities=root, mlflow_uri=f'sqlite:///{root}/mlruns/mlflow.db');"
        "print(experiment(s, 'echo'))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    said = [process.communicate(timeout=120) for process in running]
    assert {process.returncode for process in running} == {0}
    assert {out for out, _ in said} == {"1\n"}
    assert {err for _, err in said} == {""}

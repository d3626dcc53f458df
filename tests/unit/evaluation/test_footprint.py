from dataclasses import replace

import pytest

from components.core.errors import ContractBroken
from components.evaluation import footprint


def test_the_size_is_that_of_all_files_in_the_bundle(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "weights").write_bytes(bytes(1_500_000))
    (tmp_path / "deep" / "config.json").write_bytes(bytes(500_000))
    assert footprint.bundle_megabytes(tmp_path) == 2.0


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_bundle_without_files_has_no_size(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ContractBroken, match=name):
        footprint.bundle_megabytes(tmp_path / name)


def test_the_latency_is_the_95th_percentile_of_warm_calls_on_the_example(toy, bundles, monkeypatch):
    durations = iter([5.0] * 3 + [0.001 * call for call in range(1, 101)])
    clock = [0.0]
    asked = []

    def predict(loaded, question):
        asked.append((loaded, question.word))
        clock[0] += next(durations)

    monkeypatch.setattr(footprint, "perf_counter", lambda: clock[0])
    found = footprint.latency_milliseconds(replace(toy, predict=predict), bundles["deep"], calls=100, warm_up=3)
    assert found == pytest.approx(95)
    assert asked == [("0.1", "hello")] * 103

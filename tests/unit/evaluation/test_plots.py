import csv

from components.core.records import Interval
from components.evaluation.plots import bars, plot_epsilon, plot_metrics

from .cases import EVALUATION

PNG = b"\x89PNG\r\n"


def read(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_every_figure_is_drawn_and_written_with_its_role_and_bounds(toy, tmp_path):
    interval = Interval(value=0.5, low=0.4, high=0.6)
    metrics = {name: {"ndcg": interval, "hit_rate": interval} for name in ("deep", "common", "champion")}
    evaluation = EVALUATION.model_copy(update={"metrics": metrics})
    png, table = plot_metrics(bars(toy, evaluation, {"deep": {"ndcg": 0.7}}), tmp_path / "plots")
    assert png.read_bytes().startswith(PNG)
    found = read(table)
    assert [(row["model"], row["role"]) for row in found if row["metric"] == "ndcg"] == [
        ("common", "floor"),
        ("deep", "chosen"),
        ("champion", "other"),
        ("deep", "ceiling"),
    ]
    assert found[0] == {
        "model": "common",
        "role": "floor",
        "metric": "ndcg",
        "value": "0.5",
        "low": "0.4",
        "high": "0.6",
    }


def test_epsilon_by_step_is_drawn_and_written(tmp_path):
    png, table = plot_epsilon([(0, 0.0), (100, 1.7), (200, 2.4)], 3.0, tmp_path)
    assert png.read_bytes().startswith(PNG)
    assert read(table)[1] == {"step": "100", "epsilon": "1.7"}


def test_the_same_figures_make_the_same_files(tmp_path):
    first = [path.read_bytes() for path in plot_epsilon([(0, 0.0), (9, 1.0)], 3.0, tmp_path / "a")]
    assert first == [path.read_bytes() for path in plot_epsilon([(0, 0.0), (9, 1.0)], 3.0, tmp_path / "b")]

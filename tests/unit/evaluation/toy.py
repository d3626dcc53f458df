"""A service of two metrics whose bundles are one number, so that an evaluation takes milliseconds."""

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel

from components.core.private import Private
from components.core.service import Histogram, Metric, Service
from components.evaluation.cells import even_edges, score_cells
from components.evaluation.score_figures import auc, f1


@dataclass(frozen=True)
class OneNumber:
    """A candidate that no test here trains."""

    name: str
    personal: bool
    share: float = 1.0
    modules: tuple = ()


class Question(BaseModel):
    word: str


def score(bundle, rows, seed):
    """Each user's two values: their own draw, moved by the bundle's number."""
    gain = float((bundle / "number").read_text())
    return np.column_stack([np.clip(rows + gain, 0, 1), rows > 0.5])


EDGES = even_edges(10)


def cells(bundle, rows, seed):
    """Each user's one impression: clicked where their draw is large, scored by it and the bundle's number."""
    gain = float((bundle / "number").read_text())
    wobble = np.random.default_rng(seed).normal(0, 0.2 - gain, len(rows))
    return score_cells(np.clip(rows + wobble, 0, 1), rows > 0.25, np.arange(len(rows)), len(rows), EDGES)


HISTOGRAM = Histogram(
    size=20,
    of=cells,
    figures=lambda means: {"f1": f1(means, 3), "auc": auc(means)},
    metrics=(Metric("auc"), Metric("f1")),
)


def service(**changes) -> Service:
    parts = {
        "name": "toy",
        "params": BaseModel,
        "metrics": (Metric("ndcg"), Metric("hit_rate")),
        "candidates": {name: OneNumber(name, name != "common") for name in ("common", "linear", "deep")},
        "rows": None,
        "catalogue": None,
        "score": score,
        "ceiling": None,
        "load": lambda bundle: (bundle / "number").read_text(),
        "predict": lambda loaded, question: f"{question.word} {loaded}",
        "request": Question,
        "answer": BaseModel,
        "example": {"word": "hello"},
    }
    return Service(**{**parts, **changes})


def private_rows(split: str = "test", users: int = 3000, seed: int = 5) -> Private:
    values = np.random.default_rng(seed).beta(1.2, 5, size=users)
    return Private(_load=lambda: values, digest=f"{split}-{users}-{seed}", blocks=("2000Q4", "2001Q1"), split=split)

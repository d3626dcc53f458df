"""The training request: who asked for what, signed where somebody did."""

from __future__ import annotations

from pathlib import Path

from components.core.records import TrainingRequest
from components.stages.dataset import dataset_of
from components.stages.run import Run


def request_training(run: Run, name: str, author: str) -> TrainingRequest:
    """Sign, with `author`'s key on this machine, the request for this training, and leave it in the workspace.

    Raises:
        ApprovalInvalid: this machine has no such key.
    """
    from components.registry import identities

    signed = identities.sign(_unsigned(run, name).model_copy(update={"author": author}), run.settings.home, author)
    signed.write(_path(run, name))
    return signed


def request_of(run: Run, name: str) -> TrainingRequest:
    """Return the request for this training; unsigned where nobody asked, as in `dvc repro`: that registers nothing."""
    asked, path = _unsigned(run, name), _path(run, name)
    if not path.exists():
        return asked
    signed = TrainingRequest.read(path)
    same = (signed.service, signed.dataset, signed.epsilon) == (asked.service, asked.dataset, asked.epsilon)
    return signed if same else asked


def _unsigned(run: Run, name: str) -> TrainingRequest:
    return TrainingRequest(service=name, dataset=dataset_of(run).digest, epsilon=run.params.training.epsilon, author="")


def _path(run: Run, name: str) -> Path:
    return run.evidence(name, "request") / "request.json"

"""The training request: who asked for what, signed where somebody did."""

from __future__ import annotations

from pathlib import Path

from components.core import digest
from components.core.records import TrainingRequest
from components.stages.dataset import dataset_of
from components.stages.run import Run


def request_training(run: Run, name: str, author: str) -> TrainingRequest:
    """Sign, with `author`'s key on this machine, the request for this training, and leave it in the workspace.

    Raises:
        Misconfigured: this machine has no such key.
        ApprovalInvalid: the reviewed file does not know the author by this key; nothing was trained for it.
    """
    from components.registry import identities

    signed = identities.sign(_unsigned(run, name).model_copy(update={"author": author}), run.settings.home, author)
    identities.verify(signed, author, identities.load(run.settings.identities))
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


def training_key(run: Run, name: str) -> str:
    """Return the digest of everything that a training's outcome depends on: dataset, parameters and mechanisms."""
    service, params = run.service(name)
    turned = run.params.model_dump(mode="json", include={"training", "privacy", "gates", "smaller"})
    if name not in turned["smaller"]["services"]:
        del turned["smaller"]
    return digest.of_json(
        {
            "dataset": dataset_of(run).digest,
            "params": turned,
            "service": params.model_dump(mode="json"),
            "mechanisms": {key: digest.of_modules(one.modules) for key, one in service.candidates.items()},
        }
    )


def _unsigned(run: Run, name: str) -> TrainingRequest:
    return TrainingRequest(service=name, dataset=dataset_of(run).digest, epsilon=run.params.training.epsilon, author="")


def _path(run: Run, name: str) -> Path:
    return run.evidence(name, "request") / "request.json"

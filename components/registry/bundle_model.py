"""A bundle as an MLflow model, 'from code': MLflow runs this file when it logs or loads a version.

`mlflow.pyfunc.load_model("models:/jali-recommend@champion")` and `mlflow models serve` answer with it. It is for
notebooks and comparisons: it checks that the bundle is the one that was registered, not that somebody approved it,
which is what `components.serving` does.
"""

from pathlib import Path
from typing import Any

from mlflow.models import ModelConfig, set_model
from mlflow.pyfunc.model import PythonModel

from components.core import digest
from components.core.errors import ContractBroken
from components.core.service import Service, find
from components.registry.plain_requests import plain


def model_of(service: Service) -> PythonModel:
    """Return a model whose requests are the service's own; MLflow reads the signature from the type hint."""
    asked: Any = plain(service.request)

    class BundleModel(PythonModel):
        def load_context(self, context: Any) -> None:
            folder, expected = Path(context.artifacts["bundle"]), context.model_config["bundle"]
            if (found := digest.of_path(folder)) != expected:
                raise ContractBroken(
                    f"The bundle {folder} is not the one that was registered",
                    value=found[:12],
                    limit=expected[:12],
                    next_step="Nothing was loaded; restore MLflow's artifacts, or register the version again.",
                )
            self.loaded = service.load(folder)

        def predict(self, model_input: list[asked]) -> list[service.answer]:  # type: ignore[name-defined,override]
            given = [service.request.model_validate(one.model_dump(exclude_unset=True)) for one in model_input]
            return [service.predict(self.loaded, request) for request in given]

    return BundleModel()


_config: Any = ModelConfig()
set_model(model_of(find(_config.get("service"))))

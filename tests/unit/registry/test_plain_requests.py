"""What MLflow reads of a service's requests."""

import warnings
from pathlib import Path

import pytest
import yaml
from mlflow.pyfunc.model import PythonModel
from pydantic import ValidationError

from components.core.service import find
from components.registry.plain_requests import plain

NAMES = yaml.safe_load((Path(__file__).parents[3] / "params.yaml").read_text())["services"]


@pytest.mark.parametrize("name", NAMES)
def test_mlflow_understands_the_requests_of_every_service(name):
    asked = plain(find(name).request)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)

        class Model(PythonModel):
            def predict(self, model_input: list[asked]):
                return [type(one).__name__ for one in model_input]

    example = dict(find(name).example)
    given = Model().predict([example])
    assert given == [find(name).request.__name__]
    again = find(name).request.model_validate(asked.model_validate(example).model_dump(exclude_unset=True))
    assert again == find(name).request.model_validate(example)


def test_bounds_of_a_field_are_kept():
    with pytest.raises(ValidationError, match="less than or equal to"):
        plain(find("recommend").request)(history=["x"], k=1000)

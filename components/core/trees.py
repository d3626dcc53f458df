"""A tree against its model, part by part: the first complaint as one sentence, and changes laid over a tree."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from components.core.errors import Misconfigured


def parse(model: type[BaseModel], tree: Any, where: str) -> Any:
    """Check `tree` against `model`, turning the first complaint into one sentence that names key and allowed values.

    Raises:
        Misconfigured: see above.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "(the top level)"
        if first["type"] == "extra_forbidden":
            allowed = sorted(_allowed_keys(model, first["loc"][:-1]))
            raise Misconfigured(
                f"{where} has the unknown key {key}",
                limit=f"allowed keys {', '.join(allowed)}",
                next_step="Rename or remove it.",
            ) from error
        raise Misconfigured(
            f"{where}: {key}: {first['msg']}", value=repr(first["input"])[:80], next_step="Mend that key."
        ) from error


def _allowed_keys(model: type[BaseModel], location: tuple[Any, ...]) -> list[str]:
    for part in location:
        field = model.model_fields.get(str(part))
        model = (_model_within(field.annotation) if field else None) or model
    return list(model.model_fields)


def _model_within(annotation: Any) -> type[BaseModel] | None:
    """Return the model that `annotation` is, or holds as in `tuple[Part, ...]` or `Part | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_within(part))), None)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the tree `base` with the values of `changes`, key by key."""
    whole = dict(base)
    for key, value in changes.items():
        deep = isinstance(value, dict) and isinstance(whole.get(key), dict)
        whole[key] = merged(whole[key], value) if deep else value
    return whole

"""A service's request in the types that MLflow knows: it reads a model's signature from them."""

from __future__ import annotations

from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Optional, Union, cast, get_args, get_origin

from pydantic import BaseModel, create_model

_KNOWN = (str, int, float, bool, bytes, datetime)


def plain(request: type[BaseModel]) -> type[BaseModel]:
    """Return a model of the same fields, bounds and defaults, without what MLflow cannot read within a type: bounds of
    a list's entries, literals, dates. What it lets through, the service's own model still checks.
    """
    fields: dict[str, Any] = {name: (_plain(info.annotation), info) for name, info in request.model_fields.items()}
    return cast(type[BaseModel], create_model(request.__name__, **fields))


def _plain(kind: Any) -> Any:
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _plain(parts[0])
    if origin is Literal:
        return type(parts[0])
    if origin in (Union, UnionType):
        [one] = [part for part in parts if part is not NoneType]
        return Optional[_plain(one)]  # noqa: UP045 - MLflow does not know the newer way of writing it
    if origin in (list, tuple, set, frozenset):
        return list[_plain(parts[0])]  # type: ignore[misc]
    if origin is dict:
        return dict[str, _plain(parts[1])]  # type: ignore[misc]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return plain(kind)
    return kind if kind in _KNOWN else str

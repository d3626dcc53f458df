"""Which code reads people's rows past a release, as far as syntax can tell.

A table of people may be read in `components/data` and in `components/quality`, the trusted steps; and by what a release
opens: a service's `rows`, which is given to `Private.map`, and a mechanism, which is given the value by `with
ledger.release(...)`. Everything else goes by a `Private[T]`, and this module looks for the ways round it:

    table    a reader of tables, or a library that is one
    file     any file or process that is opened, in the rooms to which paths of tables come
    path     a table of people, named
    open     what gets at a `Private` from inside, makes one, or declares one public
    release  a release that is opened otherwise than by `with`, or whose value goes elsewhere than into a call
    map      a transform that does something else than return its result
    import   what `components/data` and `components/quality` have for themselves
    dynamic  code and names that are only known when they run

A finding is a place that a reviewer has to have seen: it is written into `seen.py` with its reason, or it is mended.

What it cannot tell. Python has no private memory, and a determined author gets round any such rule: a name that is put
together at run time, a C extension, a debugger, a helper in a trusted room that hands rows on, a mechanism that writes
un-noised figures into its own output or log (the value is its own by right). Those are for reviewers, for the replay
tests (declared against measured sensitivity) and for the audit. The rule makes the easy ways loud, no more.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from tests.architecture.private_words import (
    ALSO_OTHER_THINGS,
    AS_IT_IS,
    DYNAMIC,
    ESCAPES,
    FILES_ARE_FREE,
    FROM_DATA,
    GUARDS,
    INSIDE,
    LIBRARIES,
    MAKES_PRIVATE,
    NEAR_ROWS,
    NO_FILES,
    OF_FILES,
    OPENS_FILES,
    PEOPLE,
    PICKLERS,
    PUBLIC_TABLE,
    READERS,
    TRUSTED,
)
from tests.architecture.seen import entry


@dataclass(frozen=True)
class Finding:
    """A place that may read people's rows past a release."""

    path: str
    function: str
    line: int
    rule: str
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} in {self.function or 'the module'}: {self.rule}: {self.what}"


def findings(path: Path, module: ast.Module) -> list[Finding]:
    """Return every place of `module`, at `path` from the root, that a reviewer has to have seen."""
    found = _Reader(path.as_posix()).read(module)
    if any(_in(path.as_posix(), room) for room in TRUSTED):
        return [one for one in found if one.rule == "open"]  # trusted to read, and not to open for others
    return found


class _Reader(ast.NodeVisitor):
    def __init__(self, path: str) -> None:
        self.path, self.found = path, list[Finding]()
        self._within: list[str] = []
        self._functions = dict[str, ast.AST]()
        self._documents = set[int]()
        self._seen_opened = set[int]()
        self._mapped = set[int]()

    def read(self, module: ast.Module) -> list[Finding]:
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                self._functions.setdefault(node.name, node)
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                self._documents.add(id(node.value))
        for node in ast.walk(module):
            self._note_release(node)
        self.visit(module)
        return self.found

    def tell(self, node: ast.AST, rule: str, what: str) -> None:
        self.found.append(Finding(self.path, ".".join(self._within), getattr(node, "lineno", 0), rule, what))

    def _inside(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        if isinstance(node, ast.ClassDef) and {"Private", "Open"} & {_name(base) for base in node.bases}:
            self.tell(node, "open", f"{node.name} is made of what guards a value")
        self._within.append(node.name)
        self.generic_visit(node)
        self._within.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _inside  # noqa: N815

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._imports(node, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        module = "." * node.level + (node.module or "")
        self._imports(node, module)
        for alias in node.names:
            self._imports(node, f"{module}.{alias.name}")
            self._names(node, alias.name)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._names(node, node.attr)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in DYNAMIC:
            self.tell(node, "dynamic", node.id)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and id(node) not in self._documents:
            self._text(node, node.value)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if isinstance(folded := _folded(node), str):
            self._text(node, folded)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name, owner = _called(node.func)
        words = {word.arg for word in node.keywords}
        self._opens_file(node, name, owner)
        if name == "Private" and self.path not in MAKES_PRIVATE:
            self.tell(node, "open", "Private(...) is made here")
        if any(word.arg == "public" and not _is_false(word.value) for word in node.keywords) and name == "replace":
            self.tell(node, "open", "replace(..., public=...)")
        if isinstance(node.func, ast.Call) and _names_late(node.func):
            self.tell(node, "dynamic", "what is called is only known when it runs")
        elif _names_late(node) and any(_in(self.path, room) for room in NEAR_ROWS):
            self.tell(node, "dynamic", f"{name} with a name that is only known when it runs")
        if name == "vars":
            self.tell(node, "open", "vars(...)")
        if name == "map" and "name" in words and node.args:
            self._transform(node.args[0])
        if name == "rows" and owner.lower().endswith("service") and id(node) not in self._mapped:
            self.tell(node, "map", "a service's rows are read outside of Private.map")
        self.generic_visit(node)

    def _opens_file(self, node: ast.Call, name: str, owner: str) -> None:
        if any(_in(self.path, room) for room in FILES_ARE_FREE) or name not in OPENS_FILES:
            return
        if name == "open" and owner in NO_FILES:
            return
        if name in ALSO_OTHER_THINGS and owner not in OF_FILES:
            return
        self.tell(node, "file", f"{owner + '.' if owner else ''}{name}(...)")

    def _imports(self, node: ast.AST, name: str) -> None:
        parts = name.split(".")
        whole = {".".join(parts[: place + 1]) for place in range(len(parts))}
        allowed = {"components/privacy": {"sqlite3", "sqlalchemy"}, "components/evaluation": {"csv"}}
        free = next((found for room, found in allowed.items() if _in(self.path, room)), set[str]())
        if found := whole & LIBRARIES - free:
            self.tell(node, "table", f"import {min(found)}")
        if found := whole & PICKLERS:
            self.tell(node, "open", f"import {min(found)}")
        if parts[:2] in (["components", "data"], ["components", "quality"]) and len(parts) > 2:
            known = any(name == one or one.startswith(f"{name}.") or name.startswith(f"{one}.") for one in FROM_DATA)
            if not known:
                self.tell(node, "import", name)

    def _names(self, node: ast.AST, name: str) -> None:
        if READERS.fullmatch(name):
            self.tell(node, "table", name)
        if name in INSIDE and self.path not in GUARDS:
            self.tell(node, "open", name)
        if name == "open_public":
            self.tell(node, "open", "open_public")
        if name == "Open" and not _in(self.path, "components/privacy"):
            self.tell(node, "open", "Open, which the ledger makes")

    def _text(self, node: ast.AST, text: str) -> None:
        if READERS.fullmatch(text) or text in DYNAMIC:
            self.tell(node, "table", f"{text!r} as a name")
        if text in INSIDE and self.path not in GUARDS:
            self.tell(node, "open", f"{text!r} as a name")
        if PEOPLE.search(text) and not PUBLIC_TABLE.search(text) and not isinstance(node, ast.alias):
            self.tell(node, "path", repr(text))

    def _note_release(self, node: ast.AST) -> None:
        """Look at every `with X.release(...) as name` and at releases that are opened in another way."""
        if isinstance(node, ast.With | ast.AsyncWith):
            for item in node.items:
                if _releases(item.context_expr):
                    self._seen_opened.add(id(item.context_expr))
                    if isinstance(item.optional_vars, ast.Name):
                        self._value_stays(node, item.optional_vars.id)
                    elif item.optional_vars is not None:
                        self._tell_release(node, "a release that is bound to more than a name")
        elif _releases(node) and id(node) not in self._seen_opened:
            self._tell_release(node, "a release that is not opened by `with`")

    def _value_stays(self, block: ast.With | ast.AsyncWith, opened: str) -> None:
        parents = {id(child): node for node in ast.walk(block) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(block):
            if not (isinstance(node, ast.Name) and node.id == opened and isinstance(node.ctx, ast.Load)):
                continue
            used = parents[id(node)]
            if not isinstance(used, ast.Attribute):
                self._tell_release(node, "what opens the value goes elsewhere")
            elif used.attr == "value" and not _goes_into_a_call(used, parents):
                self._tell_release(node, "the value goes elsewhere than into a call")

    def _tell_release(self, node: ast.AST, what: str) -> None:
        self.found.append(Finding(self.path, "", getattr(node, "lineno", 0), "release", what))

    def _transform(self, transform: ast.expr) -> None:
        """Look at what `Private.map` is given: a lambda, or a function of this module."""
        body: ast.AST | None = transform if isinstance(transform, ast.Lambda) else None
        if isinstance(transform, ast.Name):
            body = self._functions.get(transform.id)
        for node in ast.walk(body) if body else ():
            self._mapped.add(id(node))
            if isinstance(node, ast.Call) and _called(node.func)[0] in ESCAPES:
                self.tell(node, "map", f"{_called(node.func)[0]}(...) within a transform")
            if isinstance(node, ast.NamedExpr | ast.Yield | ast.YieldFrom | ast.Await | ast.Global | ast.Nonlocal):
                self.tell(node, "map", f"{type(node).__name__} within a transform")
            if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
                self.tell(node, "map", "an assignment to what outlives a transform")


def _in(path: str, room: str) -> bool:
    return path == room or path.startswith(f"{room}/")


def _name(node: ast.expr) -> str:
    node = node.value if isinstance(node, ast.Subscript) else node  # Private[int]
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _called(function: ast.expr) -> tuple[str, str]:
    """The last name of what is called, and the last of what it belongs to ("" for a plain name)."""
    if isinstance(function, ast.Name):
        return function.id, ""
    if isinstance(function, ast.Attribute):
        owner = function.value
        while isinstance(owner, ast.Call):
            owner = owner.func
        return function.attr, owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "?")
    return "", ""


def _releases(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "release"
        and {"key", "of"} <= {word.arg for word in node.keywords}
    )


def _goes_into_a_call(value: ast.Attribute, parents: dict[int, ast.AST]) -> bool:
    parent = parents[id(value)]
    if isinstance(parent, ast.keyword):
        parent = parents[id(parent)]
    return isinstance(parent, ast.Call) and _called(parent.func)[0] not in ESCAPES | AS_IT_IS


def _folded(node: ast.AST) -> object:
    """The text that constants are put together to, as "_lo" + "ad"."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _folded(node.left), _folded(node.right)
        return left + right if isinstance(left, str) and isinstance(right, str) else None
    return None


def _names_late(node: ast.Call) -> bool:
    late = len(node.args) > 1 and not isinstance(node.args[1], ast.Constant)
    return late and _called(node.func)[0] in ("getattr", "setattr", "delattr")


def _is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def seen(finding: Finding) -> tuple[str, str, str] | None:
    """The entry of `SEEN` that a finding is known by, else None."""
    return entry(finding.path, finding.function, finding.rule)

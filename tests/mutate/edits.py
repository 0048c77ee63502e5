# SPDX-License-Identifier: Apache-2.0
"""Mutants of a file: each is its text with one check, filter, part or row taken out. By `ast`, which knows where everything is."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file: where it is, what it is, and the text after it."""

    file: str
    line: int
    what: str
    text: str

    def __str__(self) -> str:
        """Return it as a line."""
        return f"{self.file}:{self.line}: {self.what}"


class Source:
    """A file's text and tree, and how to change a part of it."""

    def __init__(self, file: str, text: str) -> None:
        """Read the text."""
        self.file, self.text = file, text
        self.tree = ast.parse(text)
        self._lines = [0]
        for line in text.encode().splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))

    def function(self, name: str) -> ast.AST:
        """Return a function or a class by its qualified name. Raises LookupError if there is none: it was moved."""
        found: ast.AST = self.tree
        for part in name.split("."):
            inner = [one for one in ast.iter_child_nodes(found) if getattr(one, "name", None) == part]
            if not inner:
                message = f"{self.file} has no {name}: it was moved, so tests/mutate/targets.py must say where to"
                raise LookupError(message)
            found = inner[0]
        return found

    def table(self, name: str) -> ast.AST:
        """Return what a name of the module stands for. Raises LookupError if there is none."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(one, ast.Name) and one.id == name for one in targets):
                    return node.value
        message = f"{self.file} has no {name}: it was moved, so tests/mutate/targets.py must say where to"
        raise LookupError(message)

    def segment(self, node: ast.AST) -> str:
        """Return the text of a part."""
        return ast.get_source_segment(self.text, node) or ""

    def changed(self, node: ast.AST, by: str, what: str) -> Mutant:
        """Return the mutant that has other text in place of a part. Raises SyntaxError if that can't be read."""
        start, end = (
            self._lines[getattr(node, f"{side}lineno") - 1] + getattr(node, f"{side}col_offset")
            for side in ("", "end_")
        )
        data = self.text.encode()
        text = (data[:start] + by.encode() + data[end:]).decode()
        compile(text, self.file, "exec")
        return Mutant(self.file, getattr(node, "lineno", 0), what, text)


Edit = Callable[[Source, ast.AST], Iterator[Mutant]]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 70 else f"{line[:67]}…"


def guards(source: Source, within: ast.AST) -> Iterator[Mutant]:
    """Take out each check that refuses, returns or goes on."""
    for node in ast.walk(within):
        if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise | ast.Return | ast.Continue):
            yield source.changed(node.test, "False", f"without the check: {_short(source.segment(node.test))}")


def operands(source: Source, within: ast.AST) -> Iterator[Mutant]:
    """Take each operand out of each `and` and `or`."""
    for node in ast.walk(within):
        if isinstance(node, ast.BoolOp):
            word = " and " if isinstance(node.op, ast.And) else " or "
            for gone in node.values:
                # A negated sum of conditions is negated as a whole, whatever is left of it.
                left = word.join(f"({source.segment(one)})" for one in node.values if one is not gone)
                yield source.changed(node, f"({left})", f"without{word}{_short(source.segment(gone))}")


def elements(source: Source, within: ast.AST) -> Iterator[Mutant]:
    """Take each element out of each list, tuple and set, and each entry out of each mapping that has more than one."""
    for node in _values(within):
        if isinstance(node, ast.List | ast.Set | ast.Tuple) and node.elts and _is_value(node):
            yield from _without_each(source, node, node.elts)
        elif isinstance(node, ast.Dict) and len(node.keys) > 1:
            for gone, key in enumerate(node.keys):
                if key is None:
                    continue
                kept = ", ".join(
                    f"{source.segment(k)}: {source.segment(v)}" if k is not None else f"**{source.segment(v)}"
                    for place, (k, v) in enumerate(zip(node.keys, node.values, strict=True))
                    if place != gone
                )
                yield source.changed(node, "{" + kept + "}", f"without the entry {_short(source.segment(key))}")


def _values(within: ast.AST) -> Iterator[ast.AST]:
    """Yield all that is computed: types say nothing when the program runs."""
    yield within
    for name, inner in ast.iter_fields(within):
        if name not in {"annotation", "returns"}:
            for node in inner if isinstance(inner, list) else [inner]:
                if isinstance(node, ast.AST):
                    yield from _values(node)


def _is_value(node: ast.List | ast.Set | ast.Tuple) -> bool:
    """Tell whether elements are made, not unpacked or named as types."""
    return isinstance(node, ast.Set) or isinstance(node.ctx, ast.Load)


def _without_each(source: Source, node: ast.expr, elts: Sequence[ast.expr]) -> Iterator[Mutant]:
    first, last = {ast.List: ("[", "]"), ast.Set: ("{", "}"), ast.Tuple: ("(", ")")}[type(node)]
    for gone in elts:
        kept = ", ".join(source.segment(one) for one in elts if one is not gone)
        comma = "," if kept and isinstance(node, ast.Tuple) else ""
        by = "set()" if not kept and isinstance(node, ast.Set) else f"{first}{kept}{comma}{last}"
        yield source.changed(node, by, f"without {_short(source.segment(gone))}")


def statements(source: Source, within: ast.AST) -> Iterator[Mutant]:
    """Take each call out that stands for itself: what it adds, refuses or digests is missing."""
    for node in ast.walk(within):
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant | ast.Yield):
            yield source.changed(node, "pass", f"without {_short(source.segment(node))}")


def refusals(source: Source, within: ast.AST) -> Iterator[Mutant]:
    """Take each call of a check out that refuses by raising: `check_…`, `may_…`."""
    for node in ast.walk(within):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name = source.segment(node.value.func).rpartition(".")[2].lstrip("_")
            if name.startswith(("check", "may_")):
                yield source.changed(node, "pass", f"without {_short(source.segment(node))}")


def choices(source: Source, within: ast.AST) -> Iterator[Mutant]:
    """Let each choice between two values be the one, and the other."""
    for node in ast.walk(within):
        if isinstance(node, ast.IfExp):
            for kept in (node.body, node.orelse):
                yield source.changed(node, f"({source.segment(kept)})", f"always {_short(source.segment(kept))}")


def keywords(source: Source, within: ast.AST) -> Iterator[Mutant]:
    """Take each keyword argument out of each call."""
    for node in ast.walk(within):
        if isinstance(node, ast.Call):
            for gone in node.keywords:
                if gone.arg is None:
                    continue
                kept = [source.segment(one) for one in node.args]
                kept += [source.segment(one) for one in node.keywords if one is not gone]
                by = f"{source.segment(node.func)}({', '.join(kept)})"
                yield source.changed(node, by, f"without {_short(source.segment(gone))}")


def verdicts(source: Source, within: ast.AST) -> Iterator[Mutant]:
    """Let each function that answers yes or no always say yes."""
    for node in ast.walk(within):
        if isinstance(node, ast.FunctionDef) and isinstance(node.returns, ast.Name) and node.returns.id == "bool":
            for inner in ast.walk(node):
                if isinstance(inner, ast.Return) and inner.value is not None and source.segment(inner.value) != "True":
                    yield source.changed(inner.value, "True", f"{node.name} always says yes")


def rows(source: Source, within: ast.AST) -> Iterator[Mutant]:
    """Take each row of a table out, and let each need no more than reading a tenant's own record."""
    for node in ast.walk(within):
        if not isinstance(node, ast.Dict):
            continue
        yield from (one for one in elements(source, node) if one.what.startswith("without the entry"))
        for key, value in zip(node.keys, node.values, strict=True):
            if key is None or not isinstance(value, ast.Call):
                continue
            name, needed = source.segment(key), value.args[0]
            if source.segment(needed) != "Permission.TENANTS_READ":
                yield source.changed(needed, "Permission.TENANTS_READ", f"{name} needs no more than tenants.read")
            yield source.changed(value.args[1], '"nothing"', f"{name} takes its tenant from no field")
            for audit in value.args[2:]:
                if source.segment(audit) != "Audit.DATA":
                    yield source.changed(audit, "Audit.DATA", f"{name} isn't audited")
        return


def widened(source: Source, within: ast.AST) -> Iterator[Mutant]:
    """Let each role have every permission, and none; let a set by itself have all that there is of its kind."""
    if isinstance(within, ast.Call):
        kind = next(source.segment(one.value) for one in ast.walk(within) if isinstance(one, ast.Attribute))
        yield source.changed(within, f"frozenset({kind})", f"with every {kind}")
        return
    for node in ast.walk(within):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if key is not None:
                    for by, what in (("frozenset(Permission)", "everything"), ("frozenset()", "nothing")):
                        if source.segment(value) != by:
                            yield source.changed(value, by, f"{source.segment(key)} may do {what}")

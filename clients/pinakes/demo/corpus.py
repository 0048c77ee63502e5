# SPDX-License-Identifier: Apache-2.0
"""The demo's first corpus: the documentation of the running Python's standard library, read from its source."""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import re
import sysconfig
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from google.protobuf import struct_pb2

from pinakes.v1.resources_pb2 import Document

# Not documentation of the library: tests, an application, vendored wheels, generated tables, other people's packages.
SKIPPED = frozenset(
    {"test", "tests", "idlelib", "idle_test", "lib2to3", "site-packages", "dist-packages", "__pycache__", "_bundled"}
    | {"turtledemo", "pydoc_data", "lib-dynload", "__phello__"}
)
# Modules written in C have no source to read; these are safe to import and inspect.
BUILTIN = (
    *(
        "array",
        "atexit",
        "binascii",
        "builtins",
        "cmath",
        "errno",
        "faulthandler",
        "fcntl",
        "gc",
        "itertools",
        "marshal",
    ),
    *("math", "mmap", "posix", "pwd", "resource", "select", "sys", "syslog", "termios", "time", "unicodedata", "zlib"),
)
LONGEST_TITLE, LONGEST_TAG, LONGEST_BODY = 1000, 100, 200_000
LONGEST_ID = 128
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = ast.Module | ast.ClassDef | Function


def attributes_of(values: dict[str, Any]) -> struct_pb2.Struct:
    """Make a document's attributes of plain values."""
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def document_id(name: str) -> str:
    """Make an id of a name: the name itself where it can be one, else its beginning and a hash, always the same."""
    cleaned = re.sub(r"[^A-Za-z0-9._~:-]", "_", name)
    if cleaned == name and 0 < len(name) <= LONGEST_ID:
        return name
    return f"{cleaned[: LONGEST_ID - 13]}~{hashlib.sha256(name.encode()).hexdigest()[:12]}"


def shorten(text: str, size: int) -> str:
    """Cut a text to so many bytes, between two characters; lone surrogates, which no message can hold, are replaced."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def python_documents(library: Path | None = None) -> Iterator[Document]:
    """Read every module, class and function with a docstring; each qualified name once, in a stable order."""
    root = library or Path(sysconfig.get_paths()["stdlib"])
    seen: set[str] = set()
    for path in sorted(root.rglob("*.py")):
        if SKIPPED.isdisjoint(path.relative_to(root).parts):
            for document in source_documents(path, root):
                if document.name not in seen:
                    seen.add(document.name)
                    yield document
    if library is None:
        for name in BUILTIN:
            for document in _builtin_documents(name):
                if document.name not in seen:
                    seen.add(document.name)
                    yield document


def source_documents(path: Path, root: Path) -> Iterator[Document]:
    """Read one source file; one that this Python can't parse has nothing to say."""
    parts = list(path.relative_to(root).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in old docstrings are not ours to report
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return
    module = ".".join(parts)
    for name, kind, node in _definitions(tree, module, inside_class=False):
        text = ast.get_docstring(node)
        if text and text.strip():
            line = 1 if isinstance(node, ast.Module) else node.lineno
            yield _document(name, kind, module, text, signature(node), line, path.relative_to(root).as_posix())


def _definitions(node: Definition, name: str, *, inside_class: bool) -> Iterator[tuple[str, str, Definition]]:
    """Walk a module's definitions as far as they can be named from outside: classes, their members, functions."""
    if isinstance(node, ast.Module):
        yield name, "module", node
    elif isinstance(node, ast.ClassDef):
        yield name, "class", node
    else:
        yield name, "method" if inside_class else "function", node
        return
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _definitions(child, f"{name}.{child.name}", inside_class=isinstance(node, ast.ClassDef))


def signature(node: Definition) -> str:
    """Write a definition as its author did, without the body; empty for a module."""
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(ast.unparse(base) for base in [*node.bases, *(word.value for word in node.keywords)])
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    if isinstance(node, ast.Module):
        return ""
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    word = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return f"{word} {node.name}({ast.unparse(node.args)}){returns}"


def _builtin_documents(name: str) -> Iterator[Document]:
    """Inspect a module that has no source; one that this system doesn't have is left out."""
    try:
        module = importlib.import_module(name)
    except ImportError:
        return
    for qualified, kind, value in _members(module, name):
        text = inspect.getdoc(value)
        if text and text.strip():
            yield _document(qualified, kind, name, text, _inspected(value), 0, "")


def _members(module: ModuleType, name: str) -> Iterator[tuple[str, str, object]]:
    """Name a module, its functions and classes, and what its classes define themselves."""
    yield name, "module", module
    for key, value in sorted(vars(module).items()):
        if inspect.isclass(value) and value.__module__ in {name, "builtins"}:
            yield f"{name}.{key}", "class", value
            for member, function in sorted(vars(value).items()):
                if inspect.isroutine(function):
                    yield f"{name}.{key}.{member}", "method", function
        elif inspect.isbuiltin(value):
            yield f"{name}.{key}", "function", value


def _inspected(value: object) -> str:
    """Signature of a built-in, where it tells one."""
    try:
        return f"{getattr(value, '__name__', '')}{inspect.signature(value)}" if callable(value) else ""
    except (TypeError, ValueError):
        return ""


def _document(name: str, kind: str, module: str, text: str, signature: str, line: int, path: str) -> Document:
    """Put what was read into a document; `name` holds the bare id until it is written to a collection."""
    package = module.partition(".")[0]
    public = not any(part.startswith("_") and not part.endswith("__") for part in name.split("."))
    tags = dict.fromkeys([kind, package, module, *([] if public else ["private"])])
    return Document(
        name=document_id(name),
        title=shorten(name, LONGEST_TITLE),
        body=shorten(f"{signature}\n\n{text}" if signature else text, LONGEST_BODY),
        tags=[tag[:LONGEST_TAG] for tag in tags],
        language="en",
        source_uri=f"https://docs.python.org/3/library/{package}.html",
        attributes=attributes_of(
            {
                "kind": kind,
                "module": module,
                "package": package,
                "path": path,
                "signature": shorten(signature, LONGEST_TITLE),
                "line": line,
                "words": len(text.split()),
                "public": public,
                "builtin": not path,
            }
        ),
    )

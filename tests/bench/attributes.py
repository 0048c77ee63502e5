# SPDX-License-Identifier: Apache-2.0
"""How attributes should travel: what each form costs a document when it is written, stored and read."""

from __future__ import annotations

import base64
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message, message_factory, struct_pb2

from tests.bench.report import Value, table

HITS = 50
"""Documents on the longest page: the answer for which a millisecond is the budget."""

CHOSEN = "Struct, stored as its own bytes"

Step = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Form:
    """One way for attributes to travel: what a writer and a reader do with a document, and what is stored."""

    name: str
    walk: Step
    write: Step
    read: Step
    page: Step
    stored: int
    wire: int


def sample(seed: int) -> dict[str, Any]:
    """Attributes such as the demo's documents have: strings, numbers, a flag, a list, an object."""
    dice = random.Random(seed)
    return {
        "kind": dice.choice(["module", "class", "function"]),
        "module": f"package{dice.randrange(1000)}.module",
        "line": dice.randrange(1, 5000),
        "weight": round(dice.random() * 100, 3),
        "public": dice.random() < 0.9,
        "released": "2026-01-31T12:00:00Z",
        "owners": ["ada", "grace", "edsger"],
        "size": {"lines": dice.randrange(1, 900), "characters": dice.randrange(1, 90000)},
    }


def _messages() -> tuple[type[message.Message], type[message.Message], type[message.Message]]:
    """Build a document and a page with each of the three forms, and the typed value, as protoc would."""
    file = descriptor_pb2.FileDescriptorProto(name="bench_attributes.proto", package="bench", syntax="proto3")
    file.dependency.append("google/protobuf/struct.proto")
    kinds = descriptor_pb2.FieldDescriptorProto
    typed = file.message_type.add(name="Typed")
    scalars = [
        ("text", kinds.TYPE_STRING),
        ("integer", kinds.TYPE_INT64),
        ("real", kinds.TYPE_DOUBLE),
        ("flag", kinds.TYPE_BOOL),
    ]
    for number, (name, kind) in enumerate(scalars, start=1):
        typed.field.add(name=name, number=number, type=kind, label=kinds.LABEL_OPTIONAL)
    typed.field.add(
        name="items", number=5, type=kinds.TYPE_MESSAGE, type_name=".bench.Typed", label=kinds.LABEL_REPEATED
    )
    _add_map(typed, "members", 6, "Typed.MembersEntry")
    document = file.message_type.add(name="Document")
    document.field.add(
        name="struct",
        number=1,
        type=kinds.TYPE_MESSAGE,
        type_name=".google.protobuf.Struct",
        label=kinds.LABEL_OPTIONAL,
    )
    document.field.add(name="json", number=2, type=kinds.TYPE_BYTES, label=kinds.LABEL_OPTIONAL)
    _add_map(document, "typed", 3, "Document.TypedEntry")
    page = file.message_type.add(name="Page")
    page.field.add(
        name="documents", number=1, type=kinds.TYPE_MESSAGE, type_name=".bench.Document", label=kinds.LABEL_REPEATED
    )
    pool = descriptor_pool.Default()
    pool.Add(file)
    classes = [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"bench.{n}")) for n in ("Document", "Page", "Typed")
    ]
    return classes[0], classes[1], classes[2]


def _add_map(owner: descriptor_pb2.DescriptorProto, name: str, number: int, entry_path: str) -> None:
    """Give a message a field map<string, Typed>."""
    kinds = descriptor_pb2.FieldDescriptorProto
    entry = owner.nested_type.add(name=entry_path.rpartition(".")[2])
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=kinds.TYPE_STRING, label=kinds.LABEL_OPTIONAL)
    entry.field.add(
        name="value", number=2, type=kinds.TYPE_MESSAGE, type_name=".bench.Typed", label=kinds.LABEL_OPTIONAL
    )
    owner.field.add(
        name=name, number=number, type=kinds.TYPE_MESSAGE, type_name=f".bench.{entry_path}", label=kinds.LABEL_REPEATED
    )


def _fill(target: Any, value: Any) -> None:
    """Put a JSON value into a typed one."""
    if isinstance(value, bool):
        target.flag = value
    elif isinstance(value, str):
        target.text = value
    elif isinstance(value, int):
        target.integer = value
    elif isinstance(value, float):
        target.real = value
    elif isinstance(value, list):
        for item in value:
            _fill(target.items.add(), item)
    else:
        for key, item in value.items():
            _fill(target.members[key], item)


def _forms(seed: int) -> list[Form]:  # one closure a step, side by side: reads better than five classes
    """Prepare every form with the same documents."""
    document, page, typed = _messages()
    plain = [sample(seed + number) for number in range(HITS)]
    structs = []
    for value in plain:
        struct = struct_pb2.Struct()
        struct.update(value)
        structs.append(struct)
    packed = [base64.b64encode(struct.SerializeToString(deterministic=True)).decode() for struct in structs]
    texts = [orjson.dumps(value) for value in plain]
    maps = [typed() for _ in plain]
    for filled, value in zip(maps, plain, strict=True):
        _fill(filled, value)
    packed_maps = [base64.b64encode(filled.SerializeToString(deterministic=True)).decode() for filled in maps]

    quoted = [orjson.dumps(value) for value in packed]
    quoted_maps = [orjson.dumps(value) for value in packed_maps]

    def one(build: Callable[[Any, int], None]) -> Step:
        """Read the first document: from what is stored to bytes on the wire."""

        def step() -> bytes:
            answer: Any = document()
            build(answer, 0)
            return bytes(answer.SerializeToString())

        return step

    def whole(build: Callable[[Any, int], None]) -> Step:
        """Read a whole page."""

        def step() -> bytes:
            answer: Any = page()
            for number in range(HITS):
                build(answer.documents.add(), number)
            return bytes(answer.SerializeToString())

        return step

    def from_dict(answer: Any, number: int) -> None:
        answer.struct.update(orjson.loads(texts[number]))

    def from_packed(answer: Any, number: int) -> None:
        answer.struct.MergeFromString(base64.b64decode(orjson.loads(quoted[number])))

    def from_json(answer: Any, number: int) -> None:
        answer.json = orjson.dumps(orjson.loads(texts[number]))

    def from_typed(answer: Any, number: int) -> None:
        for key, value in orjson.loads(texts[number]).items():
            _fill(answer.typed[key], value)

    def from_packed_typed(answer: Any, number: int) -> None:
        # a map field has the same bytes in every message that gives it the same number; here the numbers differ,
        # so the holder is parsed and its members are merged, which a real contract would save
        holder = typed()
        holder.MergeFromString(base64.b64decode(orjson.loads(quoted_maps[number])))
        answer.typed.MergeFrom(holder.members)  # type: ignore[attr-defined]

    def pack(struct: struct_pb2.Struct) -> str:
        return base64.b64encode(struct.SerializeToString(deterministic=True)).decode()

    def form(name: str, walk: Step, write: Step, build: Callable[[Any, int], None], stored: int) -> Form:
        return Form(name, walk, write, one(build), whole(build), stored, len(bytes(one(build)())))  # type: ignore[call-overload]

    def pack_map() -> str:
        return base64.b64encode(maps[0].SerializeToString(deterministic=True)).decode()

    first, text, size = structs[0], texts[0], len(texts[0])
    return [
        form(
            "Struct, stored as JSON",
            lambda: _walk_struct(first),
            lambda: orjson.dumps(json_format.MessageToDict(first)),
            from_dict,
            size,
        ),
        form(CHOSEN, lambda: _walk_struct(first), lambda: orjson.dumps(pack(first)), from_packed, len(quoted[0])),
        form(
            "JSON bytes, stored as JSON",
            lambda: _walk_plain(orjson.loads(text)),
            lambda: orjson.dumps(orjson.loads(text)),
            from_json,
            size,
        ),
        form(
            "typed map, stored as JSON",
            lambda: _walk_typed(maps[0]),
            lambda: orjson.dumps(json_format.MessageToDict(maps[0])),
            from_typed,
            len(orjson.dumps(json_format.MessageToDict(maps[0]))),
        ),
        form(
            "typed map, stored as its own bytes",
            lambda: _walk_typed(maps[0]),
            lambda: orjson.dumps(pack_map()),
            from_packed_typed,
            len(quoted_maps[0]),
        ),
    ]


def _walk_struct(struct: Any) -> int:
    """Look at every value once, as tokens and limits need it, without making Python objects of the whole."""
    return sum(_walk_value(value) for value in struct.fields.values())


def _walk_value(value: Any) -> int:
    """Count the scalars of a value."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _walk_struct(value.struct_value)
    if kind == "list_value":
        return sum(_walk_value(item) for item in value.list_value.values)
    return 1 if getattr(value, kind) is not None else 0


def _walk_typed(value: Any) -> int:
    """Do the same to a typed value."""
    if value.members:
        return sum(_walk_typed(item) for item in value.members.values())
    if value.items:
        return sum(_walk_typed(item) for item in value.items)
    return 1 if (value.text or value.integer or value.real or value.flag) else 0


def _walk_plain(value: Any) -> int:
    """Do the same to Python objects."""
    if isinstance(value, dict):
        return sum(_walk_plain(item) for item in value.values())
    if isinstance(value, list):
        return sum(_walk_plain(item) for item in value)
    return 1


def _micros(step: Step, seconds: float) -> float:
    """Time one run of a step, in µs."""
    runs, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        for _ in range(20):
            step()
        runs += 20
    return spent / runs * 1e6


def run(*, quick: bool, seed: int) -> list[Value]:
    """Measure every form in turn, several rounds, and print the medians; the value is that of the chosen form."""
    forms = _forms(seed)
    rounds, seconds = (3, 0.02) if quick else (9, 0.1)
    taken: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):  # in turn, so that a noisy moment hits all of them
        for form in forms:
            for name, step in (("walk", form.walk), ("write", form.write), ("read", form.read), ("page", form.page)):
                taken.setdefault((form.name, name), []).append(_micros(step, seconds))
    median = {key: statistics.median(values) for key, values in taken.items()}
    table(
        f"Attributes: {len(sample(seed))} of a document, 50 documents a page, seed {seed}",
        ["form", "walk µs", "write µs", "read µs", "page of 50 µs", "stored B", "wire B"],
        [
            [
                form.name,
                f"{median[form.name, 'walk']:.1f}",
                f"{median[form.name, 'write']:.1f}",
                f"{median[form.name, 'read']:.1f}",
                f"{median[form.name, 'page']:.0f}",
                str(form.stored),
                str(form.wire),
            ]
            for form in forms
        ],
    )
    page = median[CHOSEN, "page"]
    return [Value("attributes.page_of_50_us", page, "µs", "<= 500", ok=page <= 500)]

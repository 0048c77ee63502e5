# SPDX-License-Identifier: Apache-2.0
"""Writes what is derived from the settings: docs/reference/settings.md and the chart's values.schema.json.

`--check` writes nothing and fails if either file isn't what would be written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pinakes.core.settings import Limits, Settings

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = ROOT / "docs" / "reference" / "settings.md"
SCHEMA = ROOT / "k8s" / "chart" / "values.schema.json"
SCHEMA_BASE = ROOT / "k8s" / "values.schema.base.json"

# The chart sets these itself, or reads them from the Secret only.
OWN_IN_CHART = frozenset({
    "listen", "metrics_listen", "tls_cert_file", "tls_key_file", "tls_client_ca_file", "opensearch_ca_file", "limits",
})  # fmt: skip
SECRET_ONLY = frozenset({
    "secret_key", "bootstrap_admin_key", "key_peppers", "opensearch_password", "s3_secret_key"
})  # fmt: skip
SECRET_OR_NOT = frozenset({"cache_url", "queue_url"})

_HEAD = """# Settings

<!-- Written by tools/settings_reference.py from services/pinakes/core/settings.py; `make gen` renews it. -->

Every server reads the same settings from its environment and checks them before it opens a port: one that is wrong
stops it with exit code 78 and the variable's name. Lists are comma-separated.
"""
_LIMITS_HEAD = """
## Limits

The error that a limit causes names the limit.
"""


def default_text(info: FieldInfo) -> str:
    """Return the default as it would be written in the environment."""
    if info.default is PydanticUndefined:
        return "required"
    value = info.default.get_secret_value() if isinstance(info.default, SecretStr) else info.default
    if value in (None, "", []):
        return "unset"
    return f"`{','.join(value) if isinstance(value, list) else value}`"


def _number(value: float) -> str:
    """Return digits without an exponent."""
    return str(int(value)) if float(value).is_integer() else str(value)


def bounds_text(schema: dict[str, Any]) -> str:
    """Return the values a setting may have, in few words; empty if any will do."""
    if choices := schema.get("enum"):
        return " · ".join(f"`{choice}`" for choice in choices)
    low, above = schema.get("minimum"), schema.get("exclusiveMinimum")
    high = schema.get("maximum")
    lower = f"≥ {_number(low)}" if low is not None else f"> {_number(above)}" if above is not None else ""
    upper = f"≤ {_number(high)}" if high is not None else ""
    if pattern := schema.get("pattern"):
        return f"`{pattern}`"
    return ", ".join(part for part in (lower, upper) if part)


def table(model: type[Settings | Limits], prefix: str) -> str:
    """Return a table of all variables of a settings class."""
    properties = model.model_json_schema()["properties"]
    rows = ["| variable | default | allowed | what it is |", "|---|---|---|---|"]
    for name, info in model.model_fields.items():
        if name == "limits":
            continue
        allowed = bounds_text(properties[name]).replace("|", "\\|")
        rows.append(f"| `{prefix}{name.upper()}` | {default_text(info)} | {allowed} | {info.description} |")
    return "\n".join(rows) + "\n"


def reference() -> str:
    """Return the text of docs/reference/settings.md."""
    return f"{_HEAD}\n{table(Settings, 'PINAKES_')}{_LIMITS_HEAD}\n{table(Limits, 'PINAKES_LIMIT_')}"


def chart_property(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a setting's JSON schema as values of a chart hold it: lists and paths are text."""
    kind = schema.get("type")
    if kind in ("integer", "number", "boolean"):
        keys = ["minimum", "maximum", "exclusiveMinimum"]
    else:
        kind, keys = "string", ["enum", "pattern"]
    return {"type": kind, "description": schema["description"]} | {key: schema[key] for key in keys if key in schema}


def chart_schema() -> str:
    """Return the text of the chart's values.schema.json: the base with the settings of today."""
    schema: dict[str, Any] = json.loads(SCHEMA_BASE.read_text(encoding="utf-8"))
    settings = Settings.model_json_schema()["properties"]
    limits = Limits.model_json_schema()["properties"]
    given = {k: chart_property(v) for k, v in settings.items() if k not in OWN_IN_CHART | SECRET_ONLY}
    definitions = schema["definitions"]
    definitions["settings"]["properties"] = given
    definitions["limits"]["properties"] = {k: chart_property(v) for k, v in limits.items()}
    definitions["secretKeys"]["properties"] = {
        name: {"type": "string", "pattern": "^[A-Za-z0-9._-]*$", "description": settings[name]["description"]}
        for name in sorted(SECRET_ONLY | SECRET_OR_NOT)
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write both files, or compare them with `--check`."""
    stale = []
    for path, text in ((REFERENCE, reference()), (SCHEMA, chart_schema())):
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(str(path.relative_to(ROOT)))
    if stale:
        sys.exit(f"stale: {', '.join(stale)}; run tools/settings_reference.py")


if __name__ == "__main__":
    main()

"""How values reach the server: texts and JSON are made fit to be stored here, for every statement and COPY."""

import json
import math
from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.adapt import AdaptersMap, Buffer
from psycopg.types.json import set_json_dumps
from psycopg.types.string import StrDumperUnknown
from typing_extensions import override

from bec_orch.core.names import escaped, is_utf8


class _FitStrDumper(StrDumperUnknown):
    @override
    def dump(self, obj: str) -> Buffer | None:
        return super().dump(clean_text(obj))


def _dumps(value: Any) -> str:
    return json.dumps(clean_json(value))


ADAPTERS = AdaptersMap(psycopg.adapters)
"""The adapters that our connections begin with."""
ADAPTERS.register_dumper(str, _FitStrDumper)
set_json_dumps(_dumps, ADAPTERS)


def clean_text(text: str) -> str:
    """Escape what PostgreSQL's text cannot hold: NUL characters and lone surrogates."""
    if "\0" not in text and is_utf8(text):
        return text
    return "".join(escaped(c) if c == "\0" or not is_utf8(c) else c for c in text)


def clean_json(value: Any) -> Any:
    """Make a value of JSON fit for a jsonb column: texts and keys cleaned, numbers that JSON does not know as null."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {clean_text(str(key)): clean_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

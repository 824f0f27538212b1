"""Pages of HTML: templates of this package, and how values are written in them."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from bec_orch.core.by_name import spelled_out
from bec_orch.core.names import escaped

STATIC = Path(__file__).parents[1] / "static"


def address(*segments: object, **asked: str) -> str:
    """Return the address of a page of this server: names are quoted, whatever is in them.

    Args:
        segments: the names of its path.
        asked: what is asked for behind its question mark, by key; what is empty is left out.
    """
    path = "".join(f"/{quote(str(segment).encode(errors='surrogateescape'), safe='')}" for segment in segments)
    query = urlencode({key: value for key, value in asked.items() if value})
    return f"{path}?{query}" if query else path


def shown(value: Any) -> str:
    """Return a value as people read it: nothing as a dash, numbers in groups, hostile characters as what they are."""
    match value:
        case None | "":
            return "\N{EN DASH}"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.1f}" if abs(value) >= _TWO_PLACES_BELOW else f"{value:,.2f}"
        case dt.datetime():
            return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case _:
            return escaped(str(value))


_TWO_PLACES_BELOW = 10


def duration(seconds: float | None) -> str:
    """Return a time span in its two largest units."""
    if seconds is None:
        return "\N{EN DASH}"
    left = round(seconds)
    if left < _MINUTE:
        return f"{seconds:.1f} s" if seconds < _TWO_PLACES_BELOW else f"{left} s"
    for (unit, name), (smaller, small_name) in _UNITS:
        if left >= unit:
            return f"{left // unit} {name} {left % unit // smaller} {small_name}"
    return f"{left} s"


def time_left(seconds: float | None, stuck: int | None) -> str:
    """Return when a job should be done; `stuck` is how many volumes wait for a job that failed for them."""
    if seconds == 0:
        return "waits for what failed" if stuck else "done"
    return duration(seconds)


_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_UNITS = (((_DAY, "d"), (_HOUR, "h")), ((_HOUR, "h"), (_MINUTE, "min")), ((_MINUTE, "min"), (1, "s")))


def with_code(text: str) -> Markup:
    """Return a sentence of ours with what stands between backticks as code."""
    parts = escaped(text).split("`")
    if len(parts) % 2 == 0:
        return escape(escaped(text))
    code = Markup("<code>{}</code>")
    return Markup("").join(code.format(part) if place % 2 else escape(part) for place, part in enumerate(parts))


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("bec_orch.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(address=address)
    made.filters.update(
        shown=shown,
        duration=duration,
        time_left=time_left,
        escaped=escaped,
        with_code=with_code,
        spelled_out=spelled_out,
    )
    return made


_TEMPLATES = _environment()


def page(template: str, values: Mapping[str, Any], status: int = 200) -> HTMLResponse:
    """Return a page of HTML."""
    return HTMLResponse(_TEMPLATES.get_template(template).render(values), status)

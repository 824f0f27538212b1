"""Tables: the same rows as HTML, as JSON and as CSV, each at an address of its own."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from typing_extensions import override

from bec_orch.core.by_name import json_told_apart, told_apart
from bec_orch.core.names import escaped, printable
from bec_orch.errors import UsageError
from bec_orch.web.html.rendering import address

# With these a cell begins that a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        key: its name in JSON and CSV.
        heading: what stands above it.
        kind: how its values are shown: `text`, `number`, `time`, `duration`, `state`, `code`, `volume` or `picture`.
        order: what it is sorted by; empty: it cannot be.
        link: returns where a row's value leads; None: nowhere.
    """

    key: str
    heading: str
    kind: str = "text"
    order: str = ""
    link: Callable[[Mapping[str, Any]], str | None] = lambda _row: None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows with their columns.

    Attributes:
        address: where it is, without `.json` or `.csv`.
        columns: the columns that people see; JSON and CSV have all keys of the rows.
        rows: the rows.
        empty: the sentence that stands for no rows.
        query: what the request asked for, beside its defaults.
        sorted_by: the order that holds; `descending` tells its direction.
        following: the query of the next part; None where this is the last.
        preceding: that of the part before.
        is_cut: whether there are more rows, and no other part has them.
    """

    address: str
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    empty: str
    query: Mapping[str, str]
    sorted_by: str = ""
    descending: bool = False
    following: Mapping[str, str] | None = None
    preceding: Mapping[str, str] | None = None
    is_cut: bool = False

    def told_apart(self) -> Mapping[str, str]:
        """Return how names are shown that look like another one of the table."""
        found = (row[column.key] for row in self.rows for column in self.columns)
        return told_apart({value for value in found if isinstance(value, str)})

    def at(self, suffix: str = "", **changes: str) -> str:
        """Return the address of this table with some of its query changed; an empty value takes it out."""
        query = {key: value for key, value in {**self.query, **changes}.items() if value}
        return f"{self.address}{suffix}{'?' + urlencode(query) if query else ''}"

    def to(self, part: Mapping[str, str], suffix: str = "") -> str:
        """Return the address of another part of this table."""
        return self.at(suffix, **{"skip": "", **part})

    def sorting(self, column: Column) -> str:
        """Return the address of this table sorted by a column, the other way round where it is already."""
        down = self.sorted_by == column.order and not self.descending
        return self.at(order=column.order, direction="down" if down else "up", skip="")


class _Json(JSONResponse):
    """JSON in which names that look alike can be told apart."""

    @override
    def render(self, content: Any) -> bytes:
        return json_told_apart(super().render(content).decode()).encode()


def plain(value: Any) -> Any:
    """Return a value as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: plain(entry) for key, entry in asdict(value).items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value


def row_of(value: Any) -> dict[str, Any]:
    """Return a record as a row."""
    return dict(asdict(value))


VOLUME = Column(
    "volume",
    "volume",
    "volume",
    "volume",
    lambda row: address("volumes", row["w_id"], row["i_id"], source=row["source"] if row["has_namesakes"] else ""),
)
"""The volume of a row; it leads there, with the source where the name does not tell which volume it is."""
_SOURCE = Column("source", "source")


def with_sources(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """Return the columns of a table of volumes: with the source where a name does not tell which volume it is."""
    return (*columns, _SOURCE) if any(row["has_namesakes"] for row in rows) else tuple(columns)


def require_known(asked: QueryParams, keys: Sequence[str], *, passed_over: str) -> None:
    """Refuse what a page or a table cannot be asked for: it would answer as if nothing had been asked.

    Raises:
        UsageError: a key is unknown, or there twice (E_WEB_QUERY).
    """
    unknown = next((key for key in asked if key not in {*keys, passed_over}), None)
    if unknown is None and len(asked) == len(asked.multi_items()):
        return
    what = "asks for one thing twice" if unknown is None else f"asks for {printable(unknown)}, which is nothing here"
    hint = f"What may stand behind its question mark: {', '.join(keys)}." if keys else "Nothing may be asked for here."
    raise UsageError(f"The address {what}.", code="E_WEB_QUERY", hint=hint)


def is_for_programs(request: Request) -> bool:
    """Return whether a request asks for JSON or CSV: a program waits for figures, as it does not look again."""
    return request.url.path.endswith((".json", ".csv"))


def answer(request: Request, table: Table) -> Response | None:
    """Return a table as JSON or CSV where the address asks for that; None where it asks for a page."""
    path = request.url.path
    if path.endswith(".json"):
        following = table.to(table.following, ".json") if table.following else None
        rows = [plain(row) for row in table.rows]
        return _Json({"rows": rows, "next": following, "is_cut": table.is_cut})
    if path.endswith(".csv"):
        headers = {"Link": f'<{table.to(table.following, ".csv")}>; rel="next"'} if table.following else {}
        return Response(_csv(table), media_type="text/csv; charset=utf-8", headers=headers)
    return None


def data_or_page(request: Request, table: Table, page: str) -> Response:
    """Return a table as JSON or CSV; where the address asks for neither, lead to the page that shows it."""
    return answer(request, table) or RedirectResponse(page, status_code=303)


def _csv(table: Table) -> bytes:
    keys = list(table.rows[0]) if table.rows else [column.key for column in table.columns]
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(keys)
    for row in table.rows:
        writer.writerow([_cell(plain(row[key])) for key in keys])
    return out.getvalue().encode(errors="replace")


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        text = escaped(value)
        return f"'{text}" if text.startswith(_FORMULA) else text
    if isinstance(value, dict | list):
        return escaped(str(value))
    return "" if value is None else value

"""Tables as JSON and CSV: nothing hostile in a cell is a formula, a line of its own, or a control character."""

import csv
import io

import pytest
from starlette.requests import Request

from bec_orch.web.html.rendering import _TEMPLATES, address, duration, shown, time_left, with_code
from bec_orch.web.html.tables import Column, Table, answer

DASH = "\N{EN DASH}"


def asked(path: str) -> Request:
    return Request({"type": "http", "path": path, "headers": [], "query_string": b"", "server": ("localhost", 80)})


def table(*values: object) -> Table:
    return Table(
        "/t", (Column("a", "A", order="a"),), [{"a": value} for value in values], "none", {"x": "1", "skip": "9"}
    )


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+x", "'+x"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("two\nlines", "two\\nlines"),
        ("\x1b[31m", "\\x1b[31m"),
        ('with "quotes", and commas', 'with "quotes", and commas'),
        ("\udce9", "\\xe9"),
        ("བོད", "བོད"),
        (None, ""),
        (-2, "-2"),
        ({"a": [1]}, "{'a': [1]}"),
    ],
)
def test_a_cell_of_csv_is_what_it_says(value: object, cell: str) -> None:
    found = answer(asked("/t.csv"), table(value))
    assert found is not None
    rows = list(csv.reader(io.StringIO(bytes(found.body).decode())))
    assert rows == [["a"], [cell]]


def test_a_page_is_no_business_of_a_table() -> None:
    assert answer(asked("/t"), table(1)) is None


def test_an_empty_table_has_its_headings() -> None:
    found = answer(asked("/t.csv"), table())
    assert found is not None
    assert bytes(found.body) == b"a\r\n"


def test_addresses_keep_what_was_asked_for() -> None:
    one = table(1)
    assert one.at(".csv") == "/t.csv?x=1&skip=9"
    assert one.at(x="") == "/t?skip=9"
    assert one.to({"skip": "18"}) == "/t?x=1&skip=18"
    assert one.sorting(one.columns[0]) == "/t?x=1&order=a&direction=up"


def test_names_are_quoted_in_addresses() -> None:
    assert address("view", "a b", "W/1", "x?#%", 3) == "/view/a%20b/W%2F1/x%3F%23%25/3"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, DASH),
        ("", DASH),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.123, "0.12"),
        (1234.56, "1,234.6"),
        ("\x1b", "\\x1b"),
    ],
)
def test_values_are_shown_as_people_read_them(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, DASH),
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (59.4, "59 s"),
        (60, "1 min 0 s"),
        (3725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_times_have_two_units(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("`bec jobs list` shows the jobs.", "<code>bec jobs list</code> shows the jobs."),
        ("no code", "no code"),
        ("one ` alone", "one ` alone"),
        ("`a` or `b`", "<code>a</code> or <code>b</code>"),
        ("`<b>` & \x1b", "<code>&lt;b&gt;</code> &amp; \\x1b"),
    ],
)
def test_commands_in_sentences_are_code_and_nothing_else_is(text: str, html: str) -> None:
    assert with_code(text) == html


def test_names_that_look_alike_are_told_apart() -> None:
    found = table("Caf\u00e9", "Cafe\u0301", 3, None)
    assert found.told_apart() == {"Cafe\u0301": "Cafe\u0301 (Cafe\\u0301)"}
    text = _TEMPLATES.from_string("{% import 'parts.html' as parts %}{{ parts.table(of, 'Names') }}").render(of=found)
    assert '<td class="as-text">Cafe\u0301 (Cafe\\u0301)' in text.replace("\n", "")
    assert '<td class="as-text">Caf\u00e9<' in text.replace("\n", "")
    told = answer(asked("/t.json"), found)
    assert told is not None
    assert b"Cafe\\u0301" in told.body


def test_a_long_text_has_room_where_a_table_is_wider_than_the_screen() -> None:
    of = table("x" * 61, "x" * 60, None)
    text = _TEMPLATES.from_string("{% import 'parts.html' as parts %}{{ parts.table(of, 'Texts') }}").render(of=of)
    assert text.count('<td class="as-text long">') == 1
    assert text.count('<td class="as-text">') == 2


@pytest.mark.parametrize(
    ("seconds", "stuck", "text"),
    [
        (0.0, 0, "done"),
        (0.0, None, "done"),
        (0.0, 3, "waits for what failed"),
        (90.0, 3, "1 min 30 s"),
        (None, 0, DASH),
    ],
)
def test_what_waits_for_a_job_that_failed_is_not_done(seconds: float | None, stuck: int | None, text: str) -> None:
    assert time_left(seconds, stuck) == text

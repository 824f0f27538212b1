"""The guard: hosts, methods, tokens, and what every answer carries."""

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bec_orch.web.door.guard import METHODS, SECURITY, Door, Guard
from tests.support.web import Client

TOKEN = "a-token-of-sixteen-letters"  # noqa: S105  (of the test alone)


def answer(request: Request) -> Response:
    return PlainTextResponse(f"the answer to {request.url.query}")


def asking(door: Door, base_url: str = "http://localhost:8000") -> Client:
    app = Starlette(routes=[Route("/{path:path}", answer, methods=[*METHODS, "POST", "PUT", "DELETE"])])
    return Client(Guard(app, door), base_url)


OPEN = Door(frozenset({"localhost", "desk"}))
LOCKED = Door(frozenset({"localhost"}), TOKEN)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8000",
        "LOCALHOST:8000",
        "desk:1",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]:8000",
        "10.1.2.3:9",
    ],
)
def test_the_names_and_addresses_of_the_server_are_taken(host: str) -> None:
    assert asking(OPEN).get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "",
        "[::1",
        "x@y:1",
        "127.0.0.1:80@evil",
        "x@127.0.0.1:80",
        "127.0.0.1:8000/x",
        "127.0.0.1:99999999",
        "localhost:",
        "[evil]:1",
        "127.0.0.1:8000#",
    ],
)
def test_a_name_that_others_had_point_here_is_refused(host: str) -> None:
    refused = asking(OPEN).get("/", headers={"Host": host})
    assert refused.status_code == 421
    assert "E_WEB_HOST" in refused.text
    assert "the answer" not in refused.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "X'Y"])
def test_nothing_but_reading_is_served(method: str) -> None:
    refused = asking(OPEN).request(method, "/")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")
    assert "E_WEB_METHOD" in refused.text


@pytest.mark.parametrize("door", [OPEN, LOCKED])
@pytest.mark.parametrize("path", ["/", "/data.json"])
def test_every_answer_carries_what_keeps_code_of_others_out(door: Door, path: str) -> None:
    for found in (asking(door).get(path), asking(door).post(path), asking(door).get(path, headers={"Host": "evil"})):
        assert {name: found.headers[name] for name in SECURITY} == SECURITY
        assert found.headers["cache-control"] == "no-store"
    assert "'unsafe" not in SECURITY["Content-Security-Policy"]


def test_without_the_token_nobody_is_let_in() -> None:
    refused = asking(LOCKED).get("/data.json")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert refused.json()["error"]["code"] == "E_WEB_TOKEN"


@pytest.mark.parametrize("token", ["", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "\udcff"])
def test_another_token_is_none(token: str) -> None:
    assert not LOCKED.lets_in(token)
    assert not LOCKED.recognises(token)
    if token.isascii():
        assert asking(LOCKED).get("/", params={"token": token}).status_code == 401
        assert asking(LOCKED).get("/", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_the_token_becomes_a_cookie_and_goes_out_of_the_address() -> None:
    client = asking(LOCKED)
    first = client.get("/jobs", params={"token": TOKEN, "order": "pages"})
    assert (first.status_code, first.headers["location"]) == (303, "/jobs?order=pages")
    cookie = first.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert TOKEN not in cookie
    assert client.get("/jobs").status_code == 200
    assert asking(LOCKED, "http://localhost:9000").get("/jobs", headers={"Cookie": cookie}).status_code == 401


def test_an_address_of_another_host_is_not_led_to() -> None:
    first = asking(LOCKED).get("http://localhost:8000//evil.example/", params={"token": TOKEN})
    assert first.headers["location"] == "/evil.example/"


def test_programs_send_the_token_as_a_header() -> None:
    assert asking(LOCKED).get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_cookie_itself_is_no_token() -> None:
    assert not LOCKED.lets_in(LOCKED.cookie)


def test_the_page_that_asks_for_the_token_says_where_it_is_and_takes_it() -> None:
    refused = asking(LOCKED).get("http://localhost:8000//jobs/a b", params={"state": 'do"ne', "token": "wrong"})
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    shown = refused.text
    assert "<code>bec serve</code>" in shown
    assert "<code>BEC_WEB_TOKEN</code>" in shown
    assert '<form class="filters" action="/jobs/a%20b">' in shown
    assert '<input type="hidden" name="state" value="do&#34;ne">' in shown
    assert '<input name="token" type="password"' in shown
    assert "wrong" not in shown
    assert 'href="/jobs"' not in shown, "nothing that leads to where nobody is let in"


@pytest.mark.parametrize("path", ["/static/app.css", "/static/theme.js", "/static/icon.svg"])
def test_the_files_of_that_page_are_for_all(path: str) -> None:
    assert path in asking(LOCKED).get("/").text
    assert asking(LOCKED).get(path).status_code == 200


@pytest.mark.parametrize("path", ["/", "/static", "/staticx", "/jobs/static/", "/x/static/app.css"])
def test_nothing_else_is(path: str) -> None:
    assert asking(LOCKED).get(path).status_code == 401

"""Servers of others, asked on this machine: busy, away, slow, hostile, and those that lead elsewhere."""

import gzip
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from functools import partial
from ipaddress import ip_address

import anyio
import pytest

from bec_orch.errors import RetryableError, ServerBusy, ServerRefused, StorageError
from bec_orch.io.servers import addresses, fetching
from bec_orch.io.servers.addresses import Reach
from bec_orch.io.servers.fetching import AT_ONCE, Fetched, Fetcher, Patience
from tests.support.servers.library import Answer, Library, library

QUICK = Patience(attempts=3, first=0.001, longest=5.0, connect=5.0, silence=5.0, whole=10.0)
NEAR = frozenset({Reach.PUBLIC, Reach.LOOPBACK})


@pytest.fixture
def server() -> Iterator[Library]:
    with library() as server:
        yield server


def fetch(
    url: str, allowed: frozenset[Reach] | None = None, *, limit: int = 10**6, patience: Patience = QUICK
) -> Fetched | None:
    async def fetched() -> Fetched | None:
        with anyio.fail_after(30):
            return await Fetcher(patience).fetch(url, allowed, limit=limit)

    return anyio.run(fetched)


def code(url: str, allowed: frozenset[Reach] | None = None, *, limit: int = 10**6) -> str:
    with pytest.raises(ServerRefused) as caught:
        fetch(url, allowed, limit=limit)
    return caught.value.code


class TestAnswers:
    def test_what_lies_there_comes_with_how_near_it_is(self, server: Library) -> None:
        server.things["/a"] = b"content"
        assert fetch(f"{server.url}/a") == Fetched(b"content", Reach.LOOPBACK)
        (headers,) = (headers for _, headers in server.asked)
        assert headers["User-Agent"].startswith("bec-orch/")
        assert headers["Host"] == server.url.removeprefix("http://")

    @pytest.mark.parametrize("status", [404, 410])
    def test_what_is_not_there_is_none_at_once(self, server: Library, status: int) -> None:
        server.things["/a"] = Answer(status=status)
        assert fetch(f"{server.url}/a") is None
        assert len(server.asked) == 1

    @pytest.mark.parametrize("status", [400, 401, 403, 414, 451, 501, 505, 204, 206, 304])
    def test_what_is_refused_is_refused_at_once(self, server: Library, status: int) -> None:
        server.things["/a"] = Answer(status=status)
        assert code(f"{server.url}/a") == "E_SERVER_REFUSED"
        assert len(server.asked) == 1

    def test_gzip_that_nobody_asked_for_is_read_within_the_limit(self, server: Library) -> None:
        packed = {"Content-Encoding": "gzip"}
        server.things["/a"] = Answer(gzip.compress(b"content"), headers=packed)
        server.things["/bomb"] = Answer(gzip.compress(bytes(10**7)), headers=packed)
        server.things["/broken"] = Answer(b"no gzip", headers=packed)
        server.things["/other"] = Answer(zlib.compress(b"x"), headers={"Content-Encoding": "br"})
        server.things["/half"] = Answer(gzip.compress(b"content" * 99)[:-9], headers=packed)
        assert fetch(f"{server.url}/a") == Fetched(b"content", Reach.LOOPBACK)
        assert code(f"{server.url}/bomb") == "E_SERVER_TOO_LARGE"
        assert code(f"{server.url}/broken") == code(f"{server.url}/other") == "E_SERVER_REFUSED"
        with pytest.raises(StorageError):
            fetch(f"{server.url}/half")

    def test_more_than_is_allowed_is_not_taken(self, server: Library) -> None:
        server.things["/a"] = b"x" * 1000
        assert fetch(f"{server.url}/a", limit=1000) is not None
        assert code(f"{server.url}/a", limit=999) == "E_SERVER_TOO_LARGE"
        server.things["/endless"] = Answer(headers={"Content-Length": str(2**40)}, fault="drip")
        assert code(f"{server.url}/endless", limit=10) == "E_SERVER_TOO_LARGE"


class TestPassing:
    @pytest.mark.parametrize(
        "fault",
        [Answer(status=500), Answer(status=502), Answer(status=503), Answer(status=429), Answer(status=408),
         Answer(b"long enough", fault="cut")],
        ids=["500", "502", "503", "429", "408", "cut"],
    )  # fmt: skip
    def test_a_passing_fault_is_tried_again(self, server: Library, fault: Answer) -> None:
        server.things["/a"] = [fault, fault, Answer(b"content")]
        assert fetch(f"{server.url}/a") == Fetched(b"content", Reach.LOOPBACK)
        assert len(server.asked) == 3

    def test_one_that_lasts_is_for_the_task_to_try_again(self, server: Library) -> None:
        server.things["/a"] = Answer(status=500)
        with pytest.raises(StorageError) as caught:
            fetch(f"{server.url}/a")
        assert caught.value.code == "E_SERVER_AWAY"
        assert not caught.value.charged
        assert caught.value.hint.startswith("Run the same command again, or leave it to a worker")
        assert len(server.asked) == 3

    @pytest.mark.parametrize("fault", ["hang", "drip"])
    def test_a_server_that_says_nothing_or_never_ends_is_left(self, server: Library, fault: str) -> None:
        server.things["/a"] = Answer(headers={"Content-Length": "999999"}, fault=fault)
        hasty = Patience(attempts=1, silence=0.3 if fault == "hang" else 5.0, whole=0.5)
        with pytest.raises(StorageError) as caught:
            fetch(f"{server.url}/a", patience=hasty)
        assert caught.value.code == "E_SERVER_AWAY"

    def test_a_server_that_is_not_there_is_away(self) -> None:
        for url in ("http://127.0.0.1:9/a", "http://no-such-host.invalid/a"):
            with pytest.raises(StorageError) as caught:
                fetch(url)
            assert caught.value.code == "E_SERVER_AWAY"

    def test_what_speaks_another_language_is_away(self, server: Library) -> None:
        with pytest.raises(StorageError):
            fetch(f"https://{server.url.removeprefix('http://')}/a")


class TestPolite:
    def test_a_busy_server_is_asked_again_when_it_says(self, server: Library, monkeypatch: pytest.MonkeyPatch) -> None:
        slept: list[float] = []

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        monkeypatch.setattr(anyio, "sleep", sleep)
        server.things["/a"] = [Answer(status=429, headers={"Retry-After": "3"}), Answer(b"content")]
        assert fetch(f"{server.url}/a") == Fetched(b"content", Reach.LOOPBACK)
        assert 3.0 in slept
        assert any(2.0 < each < 3.0 for each in slept)

    def test_all_requests_to_it_wait_and_those_to_others_do_not(self, server: Library) -> None:
        server.things["/busy"] = Answer(status=503, headers={"Retry-After": "4"})
        server.things["/a"] = b"content"
        fetcher = Fetcher(Patience(attempts=1, longest=5.0))

        async def both() -> None:
            with pytest.raises(ServerBusy) as caught:
                await fetcher.fetch(f"{server.url}/busy", None, limit=9)
            assert caught.value.retry_after == 4.0
            with anyio.move_on_after(0.2) as waiting:
                await fetcher.fetch(f"{server.url}/a", None, limit=99)
            assert waiting.cancelled_caught
            with library("127.0.0.2") as other:
                other.things["/a"] = b"content"
                assert await fetcher.fetch(f"{other.url}/a", None, limit=99)

        anyio.run(both)
        assert "/a" not in server.paths()

    def test_a_pause_that_is_too_long_is_the_tasks(self, server: Library) -> None:
        server.things["/a"] = Answer(status=503, headers={"Retry-After": "86400"})
        with pytest.raises(ServerBusy, match="it is busy, and asks to wait for 86,400 s"):
            fetch(f"{server.url}/a", patience=Patience(longest=0.01))
        assert len(server.asked) == 1

    def test_few_are_asked_at_once(self, server: Library) -> None:
        server.things["/a"] = Answer(b"content", fault="slow")

        async def many() -> None:
            fetcher = Fetcher(QUICK)
            async with anyio.create_task_group() as group:
                for _ in range(5 * AT_ONCE):
                    group.start_soon(lambda: fetcher.fetch(f"{server.url}/a", None, limit=99))

        anyio.run(many)
        assert len(server.asked) == 5 * AT_ONCE
        assert server.most_at_once <= AT_ONCE

    def test_few_are_asked_at_once_by_all_threads_together(self, server: Library) -> None:
        server.things["/a"] = Answer(b"content", fault="slow")
        fetcher = Fetcher(QUICK)

        def one(_: int) -> Fetched | None:
            return anyio.run(partial(fetcher.fetch, f"{server.url}/a", None, limit=99))

        with ThreadPoolExecutor(3 * AT_ONCE) as threads:
            assert all(threads.map(one, range(3 * AT_ONCE)))
        assert server.most_at_once <= AT_ONCE

    @pytest.mark.parametrize(
        ("text", "seconds"),
        [("7", 7.0), (" 0 ", 0.0), (formatdate(1_000_030, usegmt=True), 30.0), (formatdate(5, usegmt=True), 0.0),
         ("", None), ("soon", None), ("-3", None), ("1.5", None), ("٣", None)],
    )  # fmt: skip
    def test_when_to_ask_again_is_seconds_or_a_date(self, text: str, seconds: float | None) -> None:
        assert fetching._seconds(text, lambda: 1_000_000.0) == seconds


class TestReach:
    def test_a_document_may_not_lead_to_this_machine(self, server: Library) -> None:
        server.things["/a"] = b"secret"
        for url in (
            f"{server.url}/a",
            server.url.replace("127.0.0.1", "localhost") + "/a",
            "http://[::ffff:127.0.0.1]/",
        ):
            assert code(url, frozenset({Reach.PUBLIC})) == "E_ADDRESS_REFUSED"
        assert server.asked == []
        assert fetch(f"{server.url}/a", NEAR) is not None

    @pytest.mark.parametrize(
        ("leads", "told"),
        [
            ("http://169.254.169.254/latest/meta-data/", "E_ADDRESS_REFUSED"),
            ("http://10.255.255.1/", "E_ADDRESS_REFUSED"),
            ("http://[fe80::1]/", "E_ADDRESS_REFUSED"),
            ("file:///etc/passwd", "E_URL"),
            ("ftp://127.0.0.1/", "E_URL"),
            ("http://[x/", "E_URL"),
            ("//x]/", "E_URL"),
            ("/a", "E_SERVER_REDIRECTS"),
        ],
    )
    def test_a_redirect_leads_only_where_a_document_may(self, server: Library, leads: str, told: str) -> None:
        server.things["/a"] = Answer(status=302, headers={"Location": leads})
        assert code(f"{server.url}/a") == told
        assert code(f"{server.url}/a", NEAR) == told

    def test_a_redirect_is_followed_and_what_came_counts(self, server: Library) -> None:
        server.things["/a"] = Answer(status=301, headers={"Location": "b?c=d#e"})
        server.things["/b?c=d"] = b"content"
        assert fetch(f"{server.url}/a") == Fetched(b"content", Reach.LOOPBACK)

    def test_a_public_server_may_not_redirect_into_this_machine(
        self, server: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        within = addresses.reach_of
        monkeypatch.setattr(
            addresses, "reach_of", lambda each: Reach.PUBLIC if str(each) == "127.0.0.1" else within(each)
        )
        with library("127.0.0.2") as inside:
            inside.things["/a"] = b"secret"
            server.things["/a"] = Answer(status=307, headers={"Location": f"{inside.url}/a"})
            assert code(f"{server.url}/a") == "E_ADDRESS_REFUSED"
            assert inside.asked == []

    def test_the_address_that_was_judged_is_the_one_that_is_asked(
        self, server: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A name that means something else each time it is looked up.
        answers = [[ip_address("127.0.0.1")], [ip_address("127.0.0.9")]]

        async def resolved(_host: str, _port: int, _seconds: float) -> list[addresses.Address]:
            return list(answers.pop(0))

        monkeypatch.setattr(fetching, "_resolved", resolved)
        server.things["/a"] = b"content"
        port = server.url.rpartition(":")[2]
        assert fetch(f"http://rebound.example:{port}/a", NEAR) == Fetched(b"content", Reach.LOOPBACK)
        assert len(answers) == 1

    def test_whether_something_is_there_is_asked_without_taking_it(self, server: Library) -> None:
        server.things["/a"] = b"content"
        server.things["/b"] = Answer(status=403)

        async def there(path: str) -> bool:
            return await Fetcher(QUICK).is_there(f"{server.url}{path}", NEAR)

        assert [anyio.run(there, path) for path in ("/a", "/b", "/c")] == [True, True, False]

    def test_a_fault_is_no_answer_to_whether_something_is_there(self, server: Library) -> None:
        server.things["/a"] = Answer(status=500)
        with pytest.raises(RetryableError):
            anyio.run(lambda: Fetcher(QUICK).is_there(f"{server.url}/a", NEAR))

"""The bounded cache: nothing is made twice, and no more is kept than fits."""

import threading
from collections.abc import Callable

import pytest

from bec_orch.web.kept.caches import BoundedCache


def making(value: bytes, made: list[bytes]) -> Callable[[], bytes]:
    def make() -> bytes:
        made.append(value)
        return value

    return make


def test_what_was_asked_for_last_is_kept() -> None:
    made: list[bytes] = []
    cache = BoundedCache[bytes](10, len)
    for key in (b"aaaa", b"bbbb", b"aaaa", b"cccc", b"aaaa", b"bbbb"):
        assert cache.get(key, making(key, made)) == key
    assert made == [b"aaaa", b"bbbb", b"cccc", b"bbbb"]


def test_what_is_larger_than_all_is_not_kept() -> None:
    made: list[bytes] = []
    cache = BoundedCache[bytes](10, len)
    cache.get("small", making(b"a", made))
    for _ in range(2):
        cache.get("large", making(b"x" * 11, made))
    cache.get("small", making(b"a", made))
    assert made == [b"a", b"x" * 11, b"x" * 11]


def test_many_who_ask_at_once_have_it_made_once() -> None:
    made: list[bytes] = []
    cache = BoundedCache[bytes](10, len)
    going, asked = threading.Event(), threading.Barrier(5)

    def make() -> bytes:
        going.wait(10)
        return making(b"x", made)()

    def ask() -> None:
        asked.wait(10)
        cache.get("key", make)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    asked.wait(10)
    going.set()
    for thread in threads:
        thread.join(10)
    assert made == [b"x"]


def test_a_fault_is_raised_and_the_next_one_asks_again() -> None:
    made: list[bytes] = []
    cache = BoundedCache[bytes](10, len)

    def fail() -> bytes:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011  (the test's own)
        cache.get("key", fail)
    assert cache.get("key", making(b"x", made)) == b"x"

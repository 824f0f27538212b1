"""Names, messages, failures, configs, metrics, versions: small rules that everything hangs on."""

import errno
import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.failures import failure_of
from bec_orch.core.job_config import JobConfig
from bec_orch.core.job_types.registry import job_types, job_worker_class
from bec_orch.core.messages import TaskMessage, parse_message
from bec_orch.core.metrics import Metrics, StageTime, Stopwatch
from bec_orch.core.names import check_name, printable
from bec_orch.core.store_urls import StoreUrl
from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import PageCounts, VolumeRef, version_of
from bec_orch.errors import (
    BecError,
    ConfigError,
    NameUnsafeError,
    PageError,
    StorageError,
    TaskFault,
    TerminalError,
    fingerprint,
)

SOURCE = "folder+file:///scans"


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/b", "/etc/passwd", "..\\x", "a\nb", "a\x00b", " a", "a ", "x" * 201, "བོ" * 40, "a\u2028b"],
)
def test_unsafe_names_are_refused_by_name(name: str) -> None:
    with pytest.raises(NameUnsafeError) as caught:
        check_name("page", name)
    assert caught.value.code == "E_NAME_UNSAFE"
    assert "page name" in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("name", ["W22084", "a b", "#?&", "..a", "བོད", "é", "e\u0301", "I1KG0404.jpg", "'; DROP TABLE"])
def test_odd_but_safe_names_are_kept_as_they_are(name: str) -> None:
    assert check_name("page", name) is name


@given(st.text())
def test_what_is_printed_of_a_name_is_printable(name: str) -> None:
    assert printable(name).isprintable()


def test_a_volume_cannot_be_named_unsafely() -> None:
    with pytest.raises(NameUnsafeError):
        VolumeRef("..", "I1", SOURCE)


@pytest.mark.parametrize(
    ("etag", "version"),
    [
        ('"9B2CF535f27731c974343645a3985328"', "9b2cf5"),
        ('W/"abc1234567"', "abc123"),
        ("d41d8cd98f00b204-12", "d41d8c"),
        ("xyz-2", "200000"),
        ("", "000000"),
    ],
)
def test_versions_are_six_hex_digits_whatever_the_etag(etag: str, version: str) -> None:
    assert version_of(etag) == version


def test_an_artefact_lies_where_the_library_expects_it() -> None:
    location = ArtefactLocation("ldv1", VolumeRef("W22084", "I0886", SOURCE), "9b2cf5")
    assert location.prefix == "ldv1/W22084/I0886/9b2cf5"
    assert location.stem == "W22084-I0886-9b2cf5"


def test_messages_by_hand_and_full_ones_name_the_volume() -> None:
    full = TaskMessage("W1", "I1", "ldv1", "bdrc+s3://b")
    assert parse_message(json.dumps(full.to_json()), "ldv1", SOURCE) == VolumeRef("W1", "I1", "bdrc+s3://b")
    assert parse_message('{"w_id": "W1", "i_id": "I1"}', "ldv1", SOURCE) == VolumeRef("W1", "I1", SOURCE)


def test_a_message_of_the_earlier_system_names_the_volume() -> None:
    layout = SOURCE.partition("+")[0]
    body = json.dumps({"w_id": "W1", "i_id": "I1", "source": layout, "i_version": "c746ca"})
    assert parse_message(body, "ldv1", SOURCE) == VolumeRef("W1", "I1", SOURCE)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("hello", "E_MESSAGE_NOT_JSON"),
        ("[" * 10_000, "E_MESSAGE_NOT_JSON"),
        ('["W1", "I1"]', "E_MESSAGE_FIELDS"),
        ('{"w_id": "W1"}', "E_MESSAGE_FIELDS"),
        ('{"w_id": 1, "i_id": "I1"}', "E_MESSAGE_FIELDS"),
        ('{"w_id": "W1", "i_id": "I1", "job": "other"}', "E_MESSAGE_JOB"),
        ('{"w_id": "../W1", "i_id": "I1"}', "E_NAME_UNSAFE"),
        ('{"w_id": "W1", "i_id": "I1", "source": "folder+file:///a\\u0000"}', "E_MESSAGE_FIELDS"),
        ('{"w_id": "W1", "i_id": "I1", "source": "folder+file:///a\\ud800"}', "E_MESSAGE_FIELDS"),
        (" " * 20_000, "E_MESSAGE_TOO_LARGE"),
    ],
)
def test_malformed_messages_have_a_code(body: str, code: str) -> None:
    with pytest.raises(TerminalError) as caught:
        parse_message(body, "ldv1", SOURCE)
    assert caught.value.code == code


@given(st.text(max_size=300) | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_message_does_more_than_be_refused(body: str) -> None:
    with pytest.raises(TerminalError):
        parse_message(body, "ldv1", SOURCE)


@pytest.mark.parametrize(
    ("error", "code", "retryable", "charged"),
    [
        (StorageError("away", code="E_STORAGE_DENIED"), "E_STORAGE_DENIED", True, False),
        (TaskFault("hung"), "E_TASK_FAULT", True, True),
        (TerminalError("no"), "E_TERMINAL", False, True),
        (ConfigError("no model"), "E_CONFIG", True, False),
        (MemoryError(), "E_MEMORY", True, False),
        (OSError(errno.ENOSPC, "No space left"), "E_DISK_FULL", True, False),
        (OSError(errno.EMFILE, "Too many open files"), "E_OPEN_FILES", True, False),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "E_MEMORY", True, False),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), "E_PROCESSES", True, False),
        (RuntimeError("can't start new thread"), "E_PROCESSES", True, False),
        (ImportError("lib.so: failed to map segment from shared object"), "E_MEMORY", True, False),
        (ValueError("can't start new thread"), "E_UNEXPECTED", True, True),
        (OSError(errno.EIO, "I/O"), "E_DISK_AWAY", True, False),
        (OSError(errno.ESTALE, "Stale file handle"), "E_DISK_AWAY", True, False),
        (OSError(errno.EINVAL, "Invalid argument"), "E_UNEXPECTED", True, True),
        (ZeroDivisionError("x"), "E_UNEXPECTED", True, True),
    ],
)
def test_what_an_exception_means_for_its_task(error: Exception, code: str, *, retryable: bool, charged: bool) -> None:
    failure = failure_of(error, "run")
    assert (failure.code, failure.retryable, failure.charged, failure.stage) == (code, retryable, charged, "run")


def test_failure_messages_can_be_stored() -> None:
    failure = failure_of(BecError("\x00" * 5000), "run")
    assert "\x00" not in failure.message
    assert len(failure.message) == 2000


def test_the_same_fault_on_two_volumes_is_one_fingerprint() -> None:
    one = fingerprint("E_X", "run", "Page 'a.jpg' of 12 is cut.")
    assert one == fingerprint("E_X", "run", "Page 'བོད.jpg' of 7 is cut.")
    assert one != fingerprint("E_X", "run", "Page 'a.jpg' of 12 is empty.")
    assert one != fingerprint("E_Y", "run", "Page 'a.jpg' of 12 is cut.")


def test_errors_say_code_sentence_and_hint() -> None:
    error = PageError("Page 3 is cut.", stage="decode", code="E_IMAGE_TRUNCATED", hint="Scan it again.")
    assert (str(error), error.code, error.stage, error.hint) == (
        "Page 3 is cut.",
        "E_IMAGE_TRUNCATED",
        "decode",
        "Scan it again.",
    )
    assert isinstance(error, BecError)


class ToyConfig(JobConfig):
    scale: float = 1.0
    kinds: tuple[Literal["coarse", "fine"], ...] = ()
    place: StoreUrl = ""
    threads: int = Field(1, json_schema_extra={"affects_output": False})


def test_the_config_hash_covers_only_what_changes_the_output() -> None:
    assert ToyConfig(threads=2).output_hash() == ToyConfig().output_hash()
    assert ToyConfig(scale=2).output_hash() != ToyConfig().output_hash()
    assert len(ToyConfig().output_hash()) == 16


def test_unknown_and_wrong_config_values_are_refused_by_name() -> None:
    with pytest.raises(ConfigError) as caught:
        ToyConfig.parse({"scael": 1, "threads": "many"})
    assert caught.value.code == "E_JOB_CONFIG"
    assert "there is no key 'scael' (did you mean 'scale'?)" in caught.value.message
    assert "threads" in caught.value.message


def test_a_value_that_was_probably_meant_is_proposed() -> None:
    with pytest.raises(ConfigError, match=r"kinds\.1: .* \(did you mean 'coarse'\?\)\.$"):
        ToyConfig.parse({"kinds": ["fine", "coarce"]})
    with pytest.raises(ConfigError, match=r"kinds\.0: Input should be 'coarse' or 'fine'\.$"):
        ToyConfig.parse({"kinds": ["no such thing"]})


@pytest.mark.parametrize("url", ["truth", "/truth", "file:truth", "file://host/x", "s3:///x", "ftp://x/y", "file://[x"])
def test_what_is_no_store_is_no_value_of_a_config(url: str) -> None:
    with pytest.raises(ConfigError, match="place: ") as caught:
        ToyConfig.parse({"place": url})
    assert caught.value.code == "E_JOB_CONFIG"


def test_metrics_add_up_and_survive_storage() -> None:
    watch = Stopwatch()
    with watch.stage("decode"):
        pass
    watch.add("infer", 2.0)
    watch.add("infer", 1.0)
    watch.count("pages", 3)
    total = watch.metrics() + Metrics({"infer": StageTime(1, 0.5, 0.5)}, {"pages": 1})
    assert total.stages["infer"] == StageTime(3, 3.5, 2.0)
    assert total.counters == {"pages": 4}
    assert Metrics.from_json(total.to_json()).stages["infer"] == total.stages["infer"]


def test_page_counts_add_up() -> None:
    counts = PageCounts(ok=8, skipped=90) + PageCounts(error=2)
    assert (counts.total, counts.error_rate) == (100, 0.2)
    assert PageCounts(skipped=4).error_rate == 0


def test_final_states_are_final() -> None:
    assert {state for state in TaskState if state.is_final} == {"done", "terminal_failed", "canceled"}


def test_the_built_in_job_type_is_an_entry_point() -> None:
    assert "ldv1" in job_types()


def test_an_unknown_job_type_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError) as caught:
        job_worker_class("ldv2")
    assert "ldv1" in caught.value.hint

"""Logs: events with fields, as JSON or as text, never with a secret in them."""

import json
import logging
import sys

import pytest

from bec_orch.settings.logging_setup import (
    LEAST_HIDDEN,
    configure_logging,
    hide,
    redacted,
    tell_always,
    without_url_passwords,
)

# Its quote and backslash are written in other ways by repr and by JSON.
PLANTED = 'canary-7f3a"\\end'


@pytest.fixture
def logger() -> logging.Logger:
    return logging.getLogger("bec_orch.tests")


def test_json_lines_have_event_level_time_and_fields(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("json", "info", [])
    logger.info("task.done", extra={"volume": "W1/ཀ", "pages": 12})
    line = json.loads(capsys.readouterr().err)
    assert line.pop("ts").endswith("+00:00")
    assert line == {
        "level": "info",
        "event": "task.done",
        "logger": "bec_orch.tests",
        "volume": "W1/ཀ",
        "pages": 12,
    }


def test_what_is_always_logged_is_in_each_line_of_json(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("json", "info", [])
    tell_always(job="ldv1", worker="w-1")
    logger.info("task.done", extra={"volume": "W1/I1"})
    logger.info("metrics", extra={"job": "ocrv1"})
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["job"], first["worker"], first["volume"]) == ("ldv1", "w-1", "W1/I1")
    assert (second["job"], second["worker"]) == ("ocrv1", "w-1")


def test_text_lines_are_readable(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", "info", [])
    logger.warning("task.failed", extra={"code": "E_STORAGE", "message_text": "two words", "empty": ""})
    assert capsys.readouterr().err.endswith(' warning task.failed code=E_STORAGE message_text="two words" empty=""\n')


@pytest.mark.parametrize(("is_terminal", "begins_with"), [(False, "{"), (True, "")])
def test_auto_is_json_unless_stderr_is_a_terminal(
    logger: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    is_terminal: bool,
    begins_with: str,
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    configure_logging("auto", "info", [])
    logger.info("task.done")
    written = capsys.readouterr().err
    assert written.startswith("{") is bool(begins_with)


def test_levels_are_ours_and_libraries_log_only_their_troubles(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("text", "debug", [])
    logger.debug("ours.debug")
    logging.getLogger("obstore").info("theirs.info")
    logging.getLogger("obstore").warning("theirs.warning")
    logging.getLogger("psycopg.pool").warning("pool.warning")
    written = capsys.readouterr().err
    assert "ours.debug" in written
    assert "theirs.info" not in written
    assert "theirs.warning" in written
    assert "pool.warning" not in written, "who wanted a connection tells"


@pytest.mark.parametrize("style", ["json", "text"])
def test_secrets_reach_no_line(logger: logging.Logger, capsys: pytest.CaptureFixture[str], style: str) -> None:
    configure_logging(style, "info", [PLANTED, "canary"])
    logger.info("plain %s", PLANTED, extra={"field": PLANTED, "nested": {"password": PLANTED}})
    try:
        raise ValueError(f"password={PLANTED}")
    except ValueError:
        logger.exception("with.traceback")
    written = capsys.readouterr().err
    assert "with.traceback" in written
    assert "ValueError" in written
    assert "canary" not in written
    assert "end'" not in written
    assert 'end"' not in written


def test_a_secret_that_is_found_later_is_left_out_from_then_on(
    logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("json", "info", ["the first"])
    hide("a canary")
    logger.info("the first a canary")
    assert '"event": "*** ***"' in capsys.readouterr().err


def test_a_secret_of_few_letters_spoils_no_words(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", "info", ["test", "x" * LEAST_HIDDEN])
    logger.info("latest.attestation", extra={"token": "x" * LEAST_HIDDEN})
    assert "latest.attestation token=***" in capsys.readouterr().err


def test_passwords_in_urls_are_masked(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", "info", [])
    logger.info("database.away", extra={"url": "postgresql://bec:hidden@db.example.org/bec"})
    assert "url=postgresql://bec:***@db.example.org/bec" in capsys.readouterr().err


def test_configured_again_writes_each_event_once(logger: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("text", "info", [])
    configure_logging("text", "info", [])
    logger.info("task.done")
    assert capsys.readouterr().err.count("task.done") == 1


def test_what_goes_elsewhere_than_into_a_log_is_redacted_the_same_way() -> None:
    configure_logging("json", "info", ["open sesame"])
    assert redacted("open sesame at s3://me:secret@bucket") == "*** at s3://me:***@bucket"
    assert without_url_passwords("open sesame at s3://me:secret@bucket") == "open sesame at s3://me:***@bucket"

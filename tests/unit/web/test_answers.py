"""Errors as answers: the right status, the code and the hint, and nothing of what went wrong inside."""

import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bec_orch.core.records.jobs import unknown_job
from bec_orch.errors import (
    BecError,
    ConfigError,
    DatabaseError,
    ManifestMissing,
    NameUnsafeError,
    PageError,
    QueueError,
    RetryableError,
    StorageError,
    UsageError,
)
from bec_orch.web.html.answers import STATUS_BY_CODE, on_bec_error, on_fault, on_http_error, status_of
from tests.support.web import Client


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (unknown_job("x", ()), 404),
        (UsageError("x"), 400),
        (NameUnsafeError("x"), 400),
        (ManifestMissing("x"), 404),
        (PageError("x", stage="decode", code="E_IMAGE_CORRUPT"), 422),
        (PageError("x", stage="fetch", code="E_IMAGE_MISSING"), 404),
        (ConfigError("x", code="E_EXTRA_MISSING"), 501),
        (DatabaseError("x"), 503),
        (QueueError("x"), 503),
        (StorageError("x"), 503),
        (StorageError("x", code="E_ARTEFACT_GONE"), 410),
        (StorageError("x", code="E_ARTEFACT_BROKEN"), 502),
        (RetryableError("x", code="E_DECODER_START"), 503),
        (BecError("x"), 500),
    ],
)
def test_each_kind_of_error_has_its_status(error: BecError, status: int) -> None:
    assert status_of(error) == status


def test_the_docs_state_each_code_with_its_status() -> None:
    page = (Path(__file__).parents[3] / "docs" / "viewer.md").read_text("utf-8")
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| `E_")]
    told = {
        code: status.strip().split(", ")[-1 if code == "E_IIIF_NOT_OFFERED" else 0]
        for codes, status in rows
        for code in re.findall(r"E_\w+", codes)
    }
    assert {code: told.get(code) for code in STATUS_BY_CODE} == {code: str(of) for code, of in STATUS_BY_CODE.items()}


def answering(error: Exception) -> Client:
    def fail(_request: Request) -> Response:
        raise error

    handlers = {BecError: on_bec_error, HTTPException: on_http_error, Exception: on_fault}
    return Client(Starlette(routes=[Route("/{path:path}", fail)], exception_handlers=handlers), raises=False)


def test_people_have_a_page_and_programs_have_json() -> None:
    client = answering(DatabaseError("The database is <away>.", hint="Start `it`."))
    page = client.get("/jobs")
    assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert '<h1 id="fault">The database is &lt;away&gt;.</h1>' in page.text
    assert "Start <code>it</code>." in page.text
    for path in ("/jobs.json", "/jobs.csv", "/iiif/x", "/metrics"):
        found = client.get(path)
        told = {"code": "E_DATABASE", "message": "The database is <away>.", "hint": "Start `it`."}
        assert (found.status_code, found.json()) == (503, {"error": told})


def test_a_fault_of_the_program_shows_nothing_of_itself(caplog: pytest.LogCaptureFixture) -> None:
    found = answering(RuntimeError("a secret of the inside")).get("/jobs")
    assert found.status_code == 500
    assert "E_INTERNAL" in found.text
    assert "secret" not in found.text
    assert [record.message for record in caplog.records if record.name == "bec_orch.web.html.answers"] == ["web.fault"]

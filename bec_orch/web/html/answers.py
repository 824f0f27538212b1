"""Errors as answers: the right status, the code, one sentence and the hint; for people as HTML, else as JSON."""

import logging
from collections.abc import Mapping
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bec_orch.core.names import printable
from bec_orch.core.wording import named
from bec_orch.errors import BecError, NameUnsafeError, PageError, RetryableError, UsageError
from bec_orch.web.html.rendering import page

logger = logging.getLogger(__name__)

STATUS_BY_CODE: Mapping[str, int] = {
    "E_ARTEFACT_BROKEN": 502,
    "E_ARTEFACT_GONE": 410,
    "E_EXTRA_MISSING": 501,
    "E_IIIF_NOT_OFFERED": 501,
    "E_IMAGE_MISSING": 404,
    "E_IMAGE_OTHER_VERSION": 410,
    "E_JOB_UNKNOWN": 404,
    "E_MANIFEST_MISSING": 404,
    "E_PAGE_MISSING": 404,
    "E_PAGE_UNKNOWN": 404,
    "E_VOLUME_NOT_DONE": 404,
    "E_VOLUME_UNKNOWN": 404,
    "E_WEB_PATH": 404,
}
_STATUS_BY_CLASS: tuple[tuple[type[BecError], int], ...] = (
    (RetryableError, 503),
    (PageError, 422),
    (NameUnsafeError, 400),
    (UsageError, 400),
)


def status_of(error: BecError) -> int:
    """Return the status of HTTP that tells what kind of error it is."""
    by_class = (status for kind, status in _STATUS_BY_CLASS if isinstance(error, kind))
    return STATUS_BY_CODE.get(error.code) or next(by_class, 500)


def error_answer(
    request: Request,
    error: BecError,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    template: str = "error.html",
    values: Mapping[str, Any] | None = None,
) -> Response:
    """Return the answer that tells an error: for people a page by a template, which may want more values."""
    code = status or status_of(error)
    if _is_for_a_program(request):
        told = {"code": error.code, "message": error.message, "hint": error.hint}
        return JSONResponse({"error": told}, code, headers)
    answer = page(template, {"error": error, "status": code, **(values or {})}, code)
    answer.headers.update(headers or {})
    return answer


def _is_for_a_program(request: Request) -> bool:
    path = request.url.path
    return path.endswith((".json", ".csv", ".jpg")) or path.startswith(("/iiif/", "/metrics", "/events", "/static/"))


def on_bec_error(request: Request, error: Exception) -> Response:
    """Answer with an error of ours."""
    return error_answer(request, cast("BecError", error))


def on_http_error(request: Request, error: Exception) -> Response:
    """Answer for what is at no address."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    missing = UsageError(
        f"There is nothing at {printable(request.url.path)}.",
        code="E_WEB_PATH",
        hint="The dashboard at / leads to everything that there is.",
    )
    return error_answer(request, missing, status)


def on_fault(request: Request, error: Exception) -> Response:
    """Answer for a fault of the program, which is logged."""
    logger.error("web.fault", extra={"path": request.url.path, "error": named(error)})
    fault = BecError(
        "The program failed to answer.", hint="This is a fault of the program: report what its log says of it."
    )
    return error_answer(request, fault, 500)

"""An example of what fails: the page on which it did, as a picture and in the viewer."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bec_orch.core.names import printable
from bec_orch.core.records.listings import TaskQuery
from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import UsageError
from bec_orch.orch.overview.namesakes import named_volume
from bec_orch.orch.overview.volume_pages import VolumePages
from bec_orch.web.dashboard.job import failures_of, is_volume
from bec_orch.web.dashboard.thumbs import small_picture
from bec_orch.web.html.rendering import address
from bec_orch.web.sight.sight import Sight

# Seconds for which the failures are waited for: the page that shows the picture was sent already.
_LONG = 30.0


@dataclass(frozen=True, slots=True)
class _Example:
    """A page of a volume as a job left it; the number counts from 1, and is 0 where no page of the volume is known.

    `told_source` as in `NamedVolume`.
    """

    job: str
    volume: VolumeRef
    told_source: str
    number: int = 0
    file: str = ""
    version: str = ""


def of_failure(request: Request) -> Response:
    """Show a page of the newest volume that failed in one way: one that is an error, else the first one."""
    sight: Sight = request.app.state.sight
    job, fingerprint = request.path_params["job"], request.path_params["fingerprint"]
    groups = sight.figure(("errors", job), lambda: failures_of(sight, job), seconds=_LONG) or ()
    group = next((one for one in groups if one.fingerprint == fingerprint and is_volume(one.example)), None)
    if group is None:
        raise _unknown(job, fingerprint)
    w_id, _, i_id = group.example.partition("/")
    return _answer(request, _found(sight, job, (w_id, i_id), group.example_source or "", group.code))


def of_page_error(request: Request) -> Response:
    """Show a page of the volume that was done last among those with pages of one error; else of one that failed."""
    sight: Sight = request.app.state.sight
    job, code = request.path_params["job"], request.path_params["code"]
    queries = (TaskQuery(code=code, state=state, limit=1) for state in (TaskState.DONE, TaskState.TERMINAL_FAILED))
    found = next(filter(None, (sight.listings.tasks(job, query) for query in queries)), None)
    if not found:
        raise _unknown(job, code)
    return _answer(request, _found(sight, job, (found[0].w_id, found[0].i_id), found[0].source, code))


def _found(sight: Sight, job: str, names: tuple[str, str], source: str, code: str) -> _Example:
    named = named_volume(sight.overview, sight.listings, names, source=source)
    volume = named.volume
    pages = sight.pages(job, volume)
    number = example_number(pages, code) if pages else 0
    if pages is None or not number:
        return _Example(job, volume, named.told_source)
    return _Example(job, volume, named.told_source, number, pages.pages[number - 1].img_file_name, pages.version)


def example_number(found: VolumePages, code: str) -> int:
    """Return the number of the first page with this code, else of the first error, else 1; 0 where there is no page."""
    errors = [(number, page.code) for number, page in enumerate(found.pages, start=1) if page.state == "error"]
    numbers = [number for number, own in errors if own == code] or [number for number, _ in errors]
    return numbers[0] if numbers else min(1, len(found.pages))


def _answer(request: Request, example: _Example) -> Response:
    names = (example.volume.w_id, example.volume.i_id)
    if request.url.path.endswith(".jpg"):
        return small_picture(request.app.state.sight, example.volume, example.version, example.file)
    place = ("view", example.job, *names, example.number) if example.number else ("volumes", *names)
    return RedirectResponse(address(*place, source=example.told_source), status_code=303)


def _unknown(job: str, what: str) -> UsageError:
    return UsageError(
        f"The job '{job}' has no failure {printable(what)} of a volume.",
        code="E_WEB_PATH",
        hint=f"`bec errors` shows those of {job}, too.",
    )

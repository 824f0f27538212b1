"""The application: which address is answered by what."""

from collections.abc import Callable, Sequence
from functools import wraps

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from bec_orch.errors import BecError
from bec_orch.web.dashboard import examples, fleet, job, jobs, tasks, thumbs, volumes
from bec_orch.web.door.guard import PARAMETER, Door, Guard
from bec_orch.web.html.answers import on_bec_error, on_fault, on_http_error
from bec_orch.web.html.rendering import STATIC
from bec_orch.web.html.tables import require_known
from bec_orch.web.iiif import addresses as iiif
from bec_orch.web.live import events, metrics
from bec_orch.web.sight.sight import Sight
from bec_orch.web.viewer import viewer

_VOLUME = "{w_id}/{i_id}"


_Answer = Callable[[Request], Response]


def _asked_for(answer: _Answer, keys: Sequence[str]) -> _Answer:
    """Return what answers only addresses that ask for nothing else than these keys; the token may stand there, too.

    Pictures and IIIF answer whatever is appended: what they are asked for stands in the path (IIIF Image API 3.0,
    section 2), and viewers and caches of others append what is their own.
    """

    @wraps(answer)
    def checked(request: Request) -> Response:
        require_known(request.query_params, keys, passed_over=PARAMETER)
        return answer(request)

    return checked


def _tables(path: str, answer: _Answer, keys: Sequence[str] = ()) -> list[Route]:
    """Return the addresses of a table: as a page, as JSON and as CSV; `keys` are what it can be asked for."""
    return [Route(f"{path}{suffix}", _asked_for(answer, keys)) for suffix in ("", ".json", ".csv")]


def _examples(path: str, answer: _Answer) -> list[Route]:
    """Return the addresses of an example: as a page, and as a picture."""
    return [Route(f"{path}/example", _asked_for(answer, ())), Route(f"{path}/example.jpg", answer)]


def _pictures(place: str) -> list[Route]:
    """Return the addresses of a picture: its own, what is known of it, and its parts."""
    path = f"/iiif/{place}/{_VOLUME}/{{file}}"
    return [
        Route(path, iiif.base),
        Route(f"{path}/info.json", iiif.picture_info),
        Route(f"{path}/{{region}}/{{size}}/{{rotation}}/{{last}}", iiif.picture),
    ]


ROUTES = (
    Route("/", _asked_for(jobs.home, ())),
    Route("/go", _asked_for(volumes.go, ("volume",))),
    *_tables("/jobs", jobs.jobs),
    Route("/jobs/{job}", _asked_for(job.job, tasks.KEYS)),
    Route("/jobs/{job}/course.json", _asked_for(job.course, ())),
    *_tables("/jobs/{job}/tasks", tasks.tasks, tasks.KEYS),
    *_tables("/jobs/{job}/errors", job.failures),
    *_examples("/jobs/{job}/errors/{fingerprint}", examples.of_failure),
    *_tables("/jobs/{job}/page-errors", job.page_errors),
    *_examples("/jobs/{job}/page-errors/{code}", examples.of_page_error),
    *_tables("/jobs/{job}/silent", job.silent),
    Route(f"/volumes/{_VOLUME}", _asked_for(volumes.volume, ("job", "source"))),
    *_tables(f"/volumes/{_VOLUME}/tasks", volumes.tasks, ("source",)),
    *_tables(f"/volumes/{_VOLUME}/attempts", volumes.attempts, ("source",)),
    *_tables(f"/volumes/{_VOLUME}/{{job}}/pages", volumes.pages, ("source",)),
    Route(f"/thumbs/{{version}}/{_VOLUME}/{{file}}", thumbs.thumb),
    *_tables("/workers", fleet.workers, ("stopped",)),
    *_tables("/machines", fleet.machines),
    *_tables("/queues", fleet.queues),
    Route("/metrics", _asked_for(metrics.metrics, ())),
    Route("/events", events.stream),
    Route(f"/view/{_VOLUME}", _asked_for(viewer.view_volume, ("page", "source", "with"))),
    Route(f"/view/{{job}}/{_VOLUME}", _asked_for(viewer.view_volume, ("page", "source", "with"))),
    Route(f"/view/{{job}}/{_VOLUME}/{{number:int}}", _asked_for(viewer.view_page, ("source", "with", "by"))),
    *_pictures("image"),
    *_pictures("version/{version}"),
    Route(f"/iiif/manifests/{{job}}/{_VOLUME}/{{name}}", iiif.manifest),
    Route(f"/iiif/version/{{version}}/manifests/{{job}}/{_VOLUME}/{{name}}", iiif.manifest),
    Mount("/static", StaticFiles(directory=STATIC), name="static"),
)


def application(sight: Sight, door: Door) -> ASGIApp:
    """Return the server's application.

    Args:
        sight: what is looked at.
        door: who is let in.
    """
    app = Starlette(
        routes=ROUTES,
        exception_handlers={BecError: on_bec_error, HTTPException: on_http_error, Exception: on_fault},
    )
    app.router.redirect_slashes = False
    app.state.sight = sight
    app.state.pulse = events.Pulse(sight.listings.pulse)
    app.state.listeners = events.new_listeners()
    return Guard(app, door)

"""The viewer: one page of a volume, with the lines that a job found over it, and their text beside it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bec_orch.core.transcripts import Line, PageRecord
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import BecError, PageError, StorageError, UsageError
from bec_orch.orch.overview.layers import Layer
from bec_orch.orch.overview.spelling import unknown_volume
from bec_orch.orch.overview.volume_pages import PageView, VolumePages
from bec_orch.web.html.rendering import address, page
from bec_orch.web.iiif.addresses import picture_address
from bec_orch.web.sight.asked import asked_volume
from bec_orch.web.sight.sight import Sight, best_job
from bec_orch.web.viewer.difference import Piece, differences

_WIDE = 1.6
"""From this ratio of width to height on, as pechas have it, the text stands below the picture and not beside it."""
_SHADES = 5


@dataclass(frozen=True, slots=True)
class ShownLine:
    """A line as the viewer has it.

    Attributes:
        number: its place in reading order, from 1.
        line: the line.
        points: its outline, as SVG writes points.
        shade: how sure its reader is, 0 (least) to 4; None where it does not say.
        pieces: how it differs from another text of the page; None where it is compared with none.
    """

    number: int
    line: Line
    points: str
    shade: int | None
    pieces: Sequence[Piece] | None = None


@dataclass(frozen=True, slots=True)
class Turns:
    """Where the keys lead: the numbers of other pages, None where there is none."""

    before: int | None
    after: int | None
    error: int | None
    doubtful: int | None


def view_volume(request: Request) -> Response:
    """Lead to a page of a volume: the one that `page` names, else the first that has something on it."""
    sight = _sight(request)
    named = asked_volume(sight, request)
    volume = named.volume
    job = request.path_params.get("job") or best_job(named.tasks)
    pages = _pages(sight, job, volume)
    asked = request.query_params.get("page", "")
    first = next((place for place, one in enumerate(pages.pages, start=1) if one.state == "ok"), 1)
    number = int(asked) if re.fullmatch(r"[0-9]{1,6}", asked) else first
    keep = {"source": named.told_source, "with": request.query_params.get("with", "")}
    return RedirectResponse(address("view", job, volume.w_id, volume.i_id, number, **keep), status_code=303)


def view_page(request: Request) -> Response:
    """Show a page."""
    sight, names = _sight(request), request.path_params
    job, number = names["job"], names["number"]
    named = asked_volume(sight, request)
    tasks, volume = named.tasks, named.volume
    pages = _pages(sight, job, volume)
    if not 1 <= number <= len(pages.pages):
        raise UsageError(
            f"The volume {volume} has no page {number}.",
            code="E_PAGE_UNKNOWN",
            hint=f"It has {len(pages.pages)} pages." if pages.pages else pages.note,
        )
    shown = pages.pages[number - 1]
    layer, record, fault = _record(sight, job, volume, (number - 1, shown.img_file_name))
    size, no_picture = _size(sight, volume, shown, record, layer)
    compared = request.query_params.get("with", "")
    lines = record.content.lines if record else ()
    pieces, comparison = _compared(sight, compared, volume, (number - 1, shown.img_file_name), lines)
    values = {
        "title": f"{volume} page {number}",
        "job": job,
        "jobs": sorted({task.job for task in tasks}),
        "volume": volume,
        "source": named.told_source,
        "number": number,
        "pages": pages,
        "page": shown,
        "turns": turns(pages.pages, number, climbs=request.query_params.get("by") == "confidence"),
        "lines": shown_lines(lines, pieces),
        "has_lines": layer is None or layer.read is not None,
        "kinds": sorted({line.kind for line in lines}),
        "others": sight.others.names(job, tasks) if any(line.text for line in lines) or compared else [],
        "compared": compared,
        "comparison": comparison,
        "size": size,
        "wide": bool(size and size[0] > _WIDE * size[1]),
        "picture": picture_address(pages.version, volume, shown.img_file_name),
        "no_picture": no_picture,
        "fault": fault,
    }
    return page("viewer.html", values)


def shown_lines(lines: Sequence[Line], pieces: Sequence[Sequence[Piece]] | None = None) -> list[ShownLine]:
    """Return lines as the viewer has them, with how each differs from another text of the page."""
    shown = [
        ShownLine(number, line, " ".join(f"{x},{y}" for x, y in line.polygon), _shade(line.confidence))
        for number, line in enumerate(lines, start=1)
    ]
    return shown if pieces is None else [replace(one, pieces=own) for one, own in zip(shown, pieces, strict=True)]


def _compared(
    sight: Sight, name: str, volume: VolumeRef, page: tuple[int, str], lines: Sequence[Line]
) -> tuple[list[list[Piece]] | None, str]:
    """Compare the lines of a page, of this index and file, with another text; say what is not seen of the result."""
    if not name or not lines:
        return None, ""
    try:
        text = sight.others.text(name, volume, *page)
    except (PageError, StorageError) as error:
        return None, f"{error.code}: {error.message}"
    if text is None:
        return None, f"{name} has no text for this page."
    pieces = differences([line.text or "" for line in lines], text)
    if pieces is None:
        return None, "The texts are too long to be compared."
    is_same = all(piece.kind == "same" for line in pieces for piece in line)
    return pieces, "The texts are the same." if is_same else ""


def turns(pages: Sequence[PageView], number: int, *, climbs: bool = False) -> Turns:
    """Return where the keys lead from a page: errors in a circle, and the least sure page.

    Where the reader `climbs` from the least sure page on, they lead to the one that is the next surer.
    """
    # Pictures of one file share the number of their page: what counts is the place of the row.
    places = list(enumerate(pages, start=1))
    errors = [place for place, one in places if one.state == "error" and place != number]
    sure = sorted((value, place) for place, one in places if (value := _confidence(one)) is not None)
    order = [place for _, place in sure]
    surer = order[order.index(number) + 1 :] if number in order and (climbs or number == order[0]) else order
    return Turns(
        before=number - 1 if number > 1 else None,
        after=number + 1 if number < len(pages) else None,
        error=next((one for one in errors if one > number), errors[0] if errors else None),
        doubtful=surer[0] if surer else None,
    )


def _confidence(shown: PageView) -> float | None:
    value: Any = shown.figures.get("confidence")
    return value if isinstance(value, float) else None


def _shade(confidence: float | None) -> int | None:
    return None if confidence is None else min(int(confidence * _SHADES), _SHADES - 1)


def _pages(sight: Sight, job: str, volume: VolumeRef) -> VolumePages:
    found = sight.pages(job, volume)
    if found is None:
        raise unknown_volume(volume.w_id, volume.i_id, job)
    return found


def _record(
    sight: Sight, job: str, volume: VolumeRef, page: tuple[int, str]
) -> tuple[Layer | None, PageRecord | None, BecError | None]:
    """Read what is on a page of this index and file; what is wrong with the artefact is told beside it."""
    layer = None
    try:
        layer = sight.layers.layer(job, volume)
        return layer, (sight.layers.page(layer, *page) if layer else None), None
    except StorageError as error:
        return layer, None, error


def _size(
    sight: Sight, volume: VolumeRef, shown: PageView, record: PageRecord | None, layer: Layer | None
) -> tuple[tuple[int, int] | None, BecError | None]:
    """Return the size of a page's image by its headers; where it has none, why, and the size that the job saw.

    The picture of another version of the volume is none of what the job found.
    """
    try:
        header = sight.pictures.header(volume, shown.img_file_name)
        if layer:
            sight.pictures.require_version(layer.success)
    except BecError as error:
        return record.content.size if record else None, error
    return (header.width, header.height), None


def _sight(request: Request) -> Sight:
    sight: Sight = request.app.state.sight
    return sight

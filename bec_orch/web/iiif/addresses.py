"""The addresses of IIIF: pictures, what is known of them, and manifests."""

from collections.abc import Iterator
from dataclasses import replace

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from bec_orch.core.artefacts import Success
from bec_orch.core.names import printable
from bec_orch.core.transcripts import PageRecord
from bec_orch.core.volumes import VolumeRef, other_version
from bec_orch.core.wording import said
from bec_orch.errors import BecError, UsageError
from bec_orch.exports.formats import Material
from bec_orch.exports.iiif import manifest as written_manifest
from bec_orch.web.html.rendering import address
from bec_orch.web.pictures.requests import crop_of, info
from bec_orch.web.sight.asked import asked_volume
from bec_orch.web.sight.sight import Sight

_JSON_LD = 'application/ld+json;profile="http://iiif.io/api/image/3/context.json"'
_MANIFEST = 'application/ld+json;profile="http://iiif.io/api/presentation/3/context.json"'
# Pictures of one version of a file stay as they are; whether it is still that version is asked again after a while.
_KEPT = "private, max-age=300"


def base(request: Request) -> Response:
    """Lead from a picture's own address to what is known of it, as the Image API wants."""
    return RedirectResponse(f"{_own(request)}/info.json", 303)


def picture_info(request: Request) -> Response:
    """Tell what is known of a picture."""
    sight, volume, file = _asked(request)
    header = sight.pictures.header(volume, file)
    identifier = _absolute(request, _own(request))
    return JSONResponse(info(identifier, header.width, header.height), media_type=_JSON_LD)


def picture(request: Request) -> Response:
    """Send a part of a picture."""
    sight, volume, file = _asked(request)
    names = request.path_params
    header = sight.pictures.header(volume, file)
    quality, _, suffix = names["last"].rpartition(".")
    crop = crop_of(names["region"], names["size"], names["rotation"], quality, suffix, (header.width, header.height))
    tag = f'"{sight.pictures.version(volume, file)}"'
    kept = {"Cache-Control": _KEPT, "ETag": tag}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=kept)
    return Response(sight.pictures.jpeg(volume, file, crop), media_type="image/jpeg", headers=kept)


def manifest(request: Request) -> Response:
    """Send a volume as a manifest: its pages, and what a job read on them."""
    sight: Sight = request.app.state.sight
    names = request.path_params
    if names["name"] != _manifest_name(names["w_id"], names["i_id"]):
        raise HTTPException(404)
    volume = asked_volume(sight, request).volume
    layer = sight.layers.layer(names["job"], volume)
    if layer is None or layer.kept:
        raise UsageError(
            f"The volume {names['w_id']}/{names['i_id']} is not done by the job '{names['job']}'.",
            code="E_VOLUME_NOT_DONE",
            hint="A manifest has what a job read: wait until it is done.",
        )
    version = layer.success.location.version
    if names.get("version", version) != version:
        raise other_version(volume, version, printable(names["version"]))
    service = _absolute(request, f"/iiif/version/{version}/{{w_id}}/{{i_id}}/{{file}}")
    no_picture = _why_no_picture(sight, layer.success)
    material = Material(
        base_url=_absolute(request, address("iiif", *_place(names.get("version")), "manifests", names["job"])),
        image_url=f"{service}/full/max/0/default.jpg",
        image_service=service,
        note=no_picture,
    )
    pages = sight.layers.pages(layer)
    if not no_picture:
        pages = _sized(sight, layer.success.location.volume, pages)
    return StreamingResponse(written_manifest(pages, layer.origin, material), media_type=_MANIFEST)


def manifest_address(job: str, volume: VolumeRef, version: str = "") -> str:
    """Return the address of a volume's manifest: of a version of the volume; of the newest where none is named."""
    names = (volume.w_id, volume.i_id)
    return address("iiif", *_place(version), "manifests", job, *names, _manifest_name(*names))


def _place(version: str | None) -> tuple[str, ...]:
    return ("version", version) if version else ()


def _manifest_name(w_id: str, i_id: str) -> str:
    # As `exports.iiif` names it: a manifest lies at its own identifier.
    return f"{w_id}-{i_id}.json"


def picture_address(version: str | None, volume: VolumeRef, file: str) -> str:
    """Return the address of a page's picture: of a version of the volume; of what is there where none is known."""
    return address("iiif", *(_place(version) or ("image",)), volume.w_id, volume.i_id, file)


def _why_no_picture(sight: Sight, success: Success) -> str:
    """Return why the pictures of an artefact cannot be shown; empty where they can."""
    try:
        sight.pictures.require_version(success)
    except BecError as error:
        return said(error)
    return ""


def _sized(sight: Sight, volume: VolumeRef, pages: Iterator[PageRecord]) -> Iterator[PageRecord]:
    for page in pages:
        size = page.content.size or sight.pictures.size(volume, page.image)
        yield replace(page, content=replace(page.content, size=size))


def _asked(request: Request) -> tuple[Sight, VolumeRef, str]:
    """Return what is looked at, and the volume and page that are asked for.

    Raises:
        PageError: the address is that of another version of the volume (E_IMAGE_OTHER_VERSION).
    """
    sight: Sight = request.app.state.sight
    names = request.path_params
    volume = asked_volume(sight, request).volume
    if "version" in names:
        sight.pictures.require(volume, names["version"])
    return sight, volume, names["file"]


def _own(request: Request) -> str:
    """Return the address of the picture that is asked for, without what is wanted of it."""
    names = request.path_params
    volume = VolumeRef(names["w_id"], names["i_id"], "")
    return picture_address(names.get("version"), volume, names["file"])


def _absolute(request: Request, path: str) -> str:
    return f"{request.url.scheme}://{request.url.netloc}{path}"

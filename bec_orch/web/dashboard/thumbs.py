"""Small pictures of pages: of each there is one, though it may only say that the page cannot be shown."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import BecError
from bec_orch.web.pictures.requests import crop_of
from bec_orch.web.sight.asked import asked_volume
from bec_orch.web.sight.sight import Sight

# Pixels of the longer side: pages show them at half of that, for screens with two pixels in place of one.
_SIZE = "!240,240"
_KEPT = {"Cache-Control": "private, max-age=300"}
_NO_PICTURE = "/static/no-picture.svg"
_OTHER_VERSION = "/static/other-version.svg"


def thumb(request: Request) -> Response:
    """Send the small picture of a page."""
    sight: Sight = request.app.state.sight
    names = request.path_params
    return small_picture(sight, asked_volume(sight, request).volume, names["version"], names["file"])


def small_picture(sight: Sight, volume: VolumeRef, version: str, file: str) -> Response:
    """Return the small picture of a page of a version of a volume, or lead to one that says that it cannot be had."""
    try:
        sight.pictures.require(volume, version)
        header = sight.pictures.header(volume, file)
        crop = crop_of("full", _SIZE, "0", "default", "jpg", (header.width, header.height))
        jpeg = sight.pictures.jpeg(volume, file, crop)
    except BecError as error:
        instead = _OTHER_VERSION if error.code == "E_IMAGE_OTHER_VERSION" else _NO_PICTURE
        return RedirectResponse(instead, status_code=303, headers=_KEPT)
    return Response(jpeg, media_type="image/jpeg", headers=_KEPT)

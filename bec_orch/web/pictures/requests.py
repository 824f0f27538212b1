"""What a request of the IIIF Image API 3 asks for (https://iiif.io/api/image/3.0/), at level 1 and a little above."""

import re
from dataclasses import dataclass

from bec_orch.core.names import printable
from bec_orch.errors import UsageError

MOST_PIXELS = 50_000_000
"""Of one picture that is sent: `maxArea` of `info.json`."""
TILE = 512
_REGION = re.compile(r"(\d{1,9}),(\d{1,9}),(\d{1,9}),(\d{1,9})")
_SIZE = re.compile(r"(!?)(\d{0,9}),(\d{0,9})")
_HINT = "IIIF Image API 3, level 1: REGION/SIZE/0/default.jpg, such as full/max/0/default.jpg."


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a picture, in pixels of the stored bitmap, and the size at which it is sent."""

    x: int
    y: int
    width: int
    height: int
    out_width: int
    out_height: int


def crop_of(region: str, size: str, rotation: str, quality: str, suffix: str, picture: tuple[int, int]) -> Crop:
    """Read the parameters of a request for a picture of (width, height).

    Raises:
        UsageError: they are none (E_IIIF_REQUEST), or ask for what is not offered (E_IIIF_NOT_OFFERED).
    """
    if (rotation, quality, suffix) != ("0", "default", "jpg"):
        raise _not_offered(f"{rotation}/{quality}.{suffix}")
    x, y, width, height = _region(region, picture)
    return Crop(x, y, width, height, *_size(size, width, height))


def info(identifier: str, width: int, height: int) -> dict[str, object]:
    """Return what `info.json` says of a picture."""
    factors = [1]
    while max(width, height) > TILE * factors[-1]:
        factors.append(2 * factors[-1])
    return {
        "@context": "http://iiif.io/api/image/3/context.json",
        "id": identifier,
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": "level1",
        "width": width,
        "height": height,
        "maxArea": MOST_PIXELS,
        "tiles": [{"width": TILE, "scaleFactors": factors}],
        "extraFeatures": ["sizeByConfinedWh"],
    }


def _region(region: str, picture: tuple[int, int]) -> tuple[int, int, int, int]:
    width, height = picture
    if region == "full":
        return 0, 0, width, height
    if region == "square":
        side = min(picture)
        return (width - side) // 2, (height - side) // 2, side, side
    if region.startswith("pct:"):
        raise _not_offered(region)
    found = _REGION.fullmatch(region)
    x, y, wide, high = map(int, found.groups()) if found else (0, 0, 0, 0)
    if not wide or not high or x >= width or y >= height:
        raise _wrong(f"{printable(region)} is no region of a picture of {width} x {height} pixels.")
    return x, y, min(wide, width - x), min(high, height - y)


def _size(size: str, width: int, height: int) -> tuple[int, int]:
    if size == "max":
        shrunk = min(1.0, (MOST_PIXELS / (width * height)) ** 0.5)
        return max(1, int(width * shrunk)), max(1, int(height * shrunk))
    if size.startswith(("^", "pct:")):
        raise _not_offered(size)
    found = _SIZE.fullmatch(size)
    confined, wide, high = found.groups() if found else ("", "", "")
    out = _asked(confined, int(wide or 0), int(high or 0), width, height)
    if 0 in out or (confined and not (wide and high)) or out[0] > width or out[1] > height:
        raise _wrong(f"{printable(size)} is no size for a region of {width} x {height} pixels.")
    if out[0] * out[1] > MOST_PIXELS:
        raise _not_offered(size)
    return out


def _asked(confined: str, wide: int, high: int, width: int, height: int) -> tuple[int, int]:
    if confined and wide and high:
        scale = min(wide / width, high / height, 1.0)
        return max(1, round(width * scale)), max(1, round(height * scale))
    if wide and not high:
        return wide, max(1, round(height * wide / width))
    if high and not wide:
        return max(1, round(width * high / height)), high
    return wide, high


def _wrong(message: str) -> UsageError:
    return UsageError(message, code="E_IIIF_REQUEST", hint=_HINT)


def _not_offered(what: str) -> UsageError:
    return UsageError(f"{printable(what)} of the IIIF Image API is not offered.", code="E_IIIF_NOT_OFFERED", hint=_HINT)

"""Which volume an address means."""

from starlette.requests import Request

from bec_orch.orch.overview.namesakes import NamedVolume, named_volume
from bec_orch.web.sight.sight import Sight


def asked_volume(sight: Sight, request: Request) -> NamedVolume:
    """Return the volume that an address means: by its names, and by the source, version and job that it names.

    Raises:
        UsageError: no job has a task for it (E_VOLUME_UNKNOWN).
    """
    names, asked = request.path_params, request.query_params
    return named_volume(
        sight.overview,
        sight.listings,
        (names["w_id"], names["i_id"]),
        source=asked.get("source", ""),
        version=names.get("version"),
        job=names.get("job") or asked.get("job"),
    )

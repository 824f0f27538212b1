"""The scans that a command line names: by a path of this machine, an address of the web, or the name of a source."""

from pathlib import Path

from bec_orch.cli.composition.sources import open_sources
from bec_orch.cli.composition.stores import open_stores
from bec_orch.core.names import printable
from bec_orch.errors import UsageError
from bec_orch.io.sources.detect import DetectedSource, detect_source
from bec_orch.io.sources.sources import parse_source, source_name
from bec_orch.settings.config import Settings


def is_scans(what: str) -> bool:
    """Return whether a word of a command line names scans: something that lies on this machine, or a source."""
    return "://" in what or Path(what).expanduser().exists()


def find_scans(what: str, settings: Settings, *, most_files: int | None = None) -> DetectedSource:
    """Return the source that is named, and its volumes; `most_files` as `detect_source` has it.

    Raises:
        UsageError: there is none, or it has no volumes that can be used.
        StorageError: it is away.
    """
    if "://" not in what:
        return detect_source(Path(what).expanduser(), follow_links=settings.follow_links, most_files=most_files)
    name = source_name("iiif", what) if what.startswith(("http://", "https://")) else what
    layout, _ = parse_source(name)
    volumes = tuple(open_sources(open_stores(settings))(name).volumes())
    if not volumes:
        raise UsageError(
            f"The source {printable(what, limit=300)} has no volumes.",
            code="E_PATH_NO_IMAGES",
            hint="Look whether it is the right one. `--log-level warning` tells what cannot be a volume.",
        )
    return DetectedSource(name, volumes, layout=layout)

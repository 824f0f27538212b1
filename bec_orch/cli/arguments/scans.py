"""The scans that a command line names: by a path of this machine, an address of the web, or the name of a source."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from bec_orch.cli.arguments.paths import as_it_lies, require_named
from bec_orch.cli.composition.sources import open_sources
from bec_orch.cli.composition.stores import open_stores
from bec_orch.cli.terminal.console import warn
from bec_orch.core.names import printable
from bec_orch.core.ports.sources import SourceFactory
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import NOT_THERE, RetryableError, UsageError
from bec_orch.io.sources.detect import DetectedSource, detect_source
from bec_orch.io.sources.misnamed import RENAME, misnamed_below
from bec_orch.io.sources.sources import parse_source, source_name
from bec_orch.io.stores.storage import is_there, path_of
from bec_orch.settings.config import Settings

_BY_NAME = frozenset({"folder", "flat", "pdf"})
"""Layouts in which files are pages or volumes by their names."""
_NOTHING = "Look whether it is the right one. `--log-level warning` tells what cannot be a volume."


def is_scans(what: str) -> bool:
    """Return whether a word of a command line names scans: something that lies on this machine, or a source."""
    return "://" in what or is_there(_split(what)[0])


def find_scans(what: str, settings: Settings, *, most_files: int | None = None) -> DetectedSource:
    """Return the source that is named, and its volumes; `most_files` as `detect_source` has it.

    A path may say after a `#` what its source is to do, as the name of a source may: `book.pdf#dpi=400`.

    Raises:
        UsageError: there is none, it has no volumes that can be used, or it cannot do what stands after the `#`.
        StorageError: it is away.
    """
    require_named(what)
    if "://" not in what:
        path, options = _split(what)
        found = detect_source(path, follow_links=settings.follow_links, most_files=most_files)
        return _with_options(found, options, settings) if options else found
    name = source_name("iiif", what) if what.startswith(("http://", "https://")) else what
    layout, url = parse_source(name)
    volumes = tuple(open_sources(open_stores(settings))(name).volumes())
    misnamed = misnamed_below(path_of(url)) if layout in _BY_NAME and url.startswith("file:") else ()
    if not volumes:
        seen = f"; {printable(misnamed[0].file)} is {misnamed[0].kind}, and is not named like one" if misnamed else ""
        raise UsageError(
            f"The source {printable(what, limit=300)} has no volumes{seen}.",
            code="E_PATH_NO_IMAGES",
            hint=RENAME if misnamed else _NOTHING,
        )
    return DetectedSource(name, volumes, layout=layout, misnamed=misnamed)


def require_sources(sources: SourceFactory, volumes: Collection[VolumeRef]) -> None:
    """Refuse volumes of a source that is not there: what is enqueued of them would be tried again for ever.

    One that is away, or that the workers alone may read, is told and stops nothing.

    Raises:
        StorageError: a source is missing, or holds nothing.
        UsageError, ManifestError: there can be no source of that name.
    """
    for name in sorted({volume.source for volume in volumes}):
        try:
            sources(name).check_there()
        except RetryableError as error:
            if error.code in NOT_THERE:
                raise
            warn(f"The source {printable(name)} could not be looked at ({error.code}): {error.message}", error.hint)


def _split(what: str) -> tuple[Path, str]:
    """Split a path from what stands after its last `#`, unless that belongs to the name of what lies there."""
    whole = as_it_lies(Path(what).expanduser())
    path, _, options = what.rpartition("#")
    return (
        (whole, "")
        if not path or "=" not in options or is_there(whole)
        else (as_it_lies(Path(path).expanduser()), options)
    )


def _with_options(found: DetectedSource, options: str, settings: Settings) -> DetectedSource:
    name = f"{found.name}#{options}"
    open_sources(open_stores(settings))(name)
    return replace(found, name=name, volumes=tuple(replace(each, source=name) for each in found.volumes))

"""Documents that `bec export` wrote among scans, and that are named like pages: they are none.

They are known by the names of theirs that a listing shows, the record beside them among them: to open each file of an
archive would take days.
"""

from collections.abc import Collection, Sequence

_PDF = ".pdf"
"""Of the formats, the one whose suffix is that of a page."""


def record_name(name: str) -> str:
    """Return the name of the record of an export, beside its documents; `name` is that of the format and level."""
    return f"export-{name}.json"


def document_name(w_id: str, i_id: str, suffix: str) -> str:
    """Return the name of the document of a whole volume, in the folder `W_ID/I_ID`."""
    return f"{w_id}-{i_id}{suffix}"


def exported_files(files: Collection[str], folder: Sequence[str]) -> frozenset[str]:
    """Return which files of a folder are such documents; `folder` are the names on the way to it, its own the last."""
    if len(folder) <= 1 or record_name("pdf-volume") not in files:
        return frozenset()
    return frozenset(files) & {document_name(folder[-2], folder[-1], _PDF)}


def exported_folders(files: Collection[str], folders: Collection[str]) -> frozenset[str]:
    """Return which folders of a folder with these files hold such documents."""
    return frozenset(folders) & {"pdf"} if record_name("pdf-page") in files else frozenset()

"""Workspaces of OCR-D: METS documents, and the files that they name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

_NAMESPACES = 'xmlns="http://www.loc.gov/METS/" xmlns:xlink="http://www.w3.org/1999/xlink"'


def document(groups: str, structures: str) -> str:
    """Return a METS with file groups and structures."""
    return f"<mets {_NAMESPACES}><fileSec>{groups}</fileSec>{structures}</mets>"


def group(name: str, files: Mapping[str, str | Sequence[str]], *, kind: str = "image/tiff") -> str:
    """Return a file group; `files` are the references of each file, by its name."""
    listed = "".join(_file(file, [refs] if isinstance(refs, str) else refs, kind) for file, refs in files.items())
    return f"<fileGrp USE={quoteattr(name)}>{listed}</fileGrp>"


def _file(name: str, references: Sequence[str], kind: str) -> str:
    places = "".join(f'<FLocat LOCTYPE="OTHER" xlink:href={quoteattr(each)}/>' for each in references)
    mime = f' MIMETYPE="{kind}"' if kind else ""
    return f"<file ID={quoteattr(name)}{mime}>{places}</file>"


def pages(*files: Sequence[str], orders: Sequence[str] = ()) -> str:
    """Return a physical structure: the files of each page, by their names."""
    divisions = []
    for at, each in enumerate(files):
        order = f' ORDER="{orders[at]}"' if orders and orders[at] else ""
        pointers = "".join(f"<fptr FILEID={quoteattr(file)}/>" for file in each)
        divisions.append(f'<div TYPE="page"{order}>{pointers}</div>')
    return f'<structMap TYPE="PHYSICAL"><div TYPE="physSequence">{"".join(divisions)}</div></structMap>'


def workspace(folder: Path, scans: Mapping[str, bytes], made: Mapping[str, bytes] | None = None) -> Path:
    """Write a workspace with scans, and pictures that a step of work made of them; return its folder."""
    groups, named = "", [[f"IMG_{name}"] for name in scans]
    for use, files in (("OCR-D-IMG", scans), ("OCR-D-BIN", made or {})):
        for name, data in files.items():
            (folder / use).mkdir(parents=True, exist_ok=True)
            (folder / use / name).write_bytes(data)
        if files:
            groups += group(use, {f"{use.rpartition('-')[2]}_{name}": f"{use}/{name}" for name in files})
    for page, name in zip(named, made or (), strict=bool(made)):
        page.append(f"BIN_{name}")
    (folder / "mets.xml").write_text(document(groups, pages(*named)), "utf-8")
    return folder

"""Reads METS (https://www.loc.gov/standards/mets/) of OCR-D workspaces: which picture each page has, in one file group.

A workspace has a group of files for each step of its work; that of the scans is `OCR-D-IMG` (https://ocr-d.de/en/spec/mets).
Pages are the divisions of type `page` in the physical structure, in their order; without one, the files of the group.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element  # nosec B405  # (a type: defusedxml parses)

from bec_orch.core.first_bytes import READ, looks_like
from bec_orch.core.names import check_name, printable
from bec_orch.core.wording import clause, said
from bec_orch.errors import NameUnsafeError, ServerRefused
from bec_orch.exports.xml_tree import NotReadable, children, descendants, kind_of, parse
from bec_orch.io.servers.addresses import SCHEMES, plain_url
from bec_orch.io.sources.page_files import why_no_page
from bec_orch.io.sources.pages import MAX_FILENAME_BYTES, refused

USUAL_GROUP = "OCR-D-IMG"
MAX_BYTES = 64 * 2**20
"""20,000 pages with five steps of work take some 30 MB."""
MAX_PAGES = 50_000
_LINK = "{http://www.w3.org/1999/xlink}href"
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class MetsPage:
    """A page: the name of its picture, and its path within the workspace or its address; where it has none, neither.

    `fault` is what is wrong with a reference that leads elsewhere, or nowhere: a sentence's end.
    """

    filename: str
    path: str = ""
    url: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Mets:
    """The pages of a workspace, and how many files of their group are of none."""

    pages: tuple[MetsPage, ...]
    group: str
    others: int


def read_mets(data: bytes, subject: str, group: str | None) -> Mets:
    """Read the pages of a workspace.

    Args:
        data: the content of its `mets.xml`.
        subject: begins the sentence of an error.
        group: the file group; None: that of the scans, or the first with pictures.

    Raises:
        ManifestError: it is broken or hostile XML, or no METS (E_METS); or has no such group (E_METS_GROUP).
    """
    try:
        root = parse(data)
    except NotReadable as error:
        raise refused(subject, _why_not(data, error), "E_METS", _HINT) from error
    if kind_of(root) != "mets":
        raise refused(subject, f"is no METS, but {printable(kind_of(root))}", "E_METS", _HINT)
    name, files = _chosen(root, subject, group)
    pages = _told_apart(_pages(root, files))
    if len(pages) > MAX_PAGES:
        raise refused(subject, f"has {len(pages)} pages, and {MAX_PAGES} are allowed", "E_METS", _HINT)
    return Mets(tuple(pages), name, len(files) - sum(1 for page in pages if page.path or page.url or page.fault))


def _why_not(data: bytes, error: NotReadable) -> str:
    if not data:
        return "has 0 bytes"
    is_xml = data[:READ].lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<", b"\xff\xfe", b"\xfe\xff"))
    return f"is refused: {clause(str(error))}" if is_xml else f"is no METS: {looks_like(data)}"


_HINT = "Have the workspace checked: `ocrd workspace validate`."


def _chosen(root: Element, subject: str, group: str | None) -> tuple[str, dict[str, Element]]:
    """Return the name of the group to take, and its files by their names, in order."""
    groups = {
        each.get("USE", ""): {file.get("ID", ""): file for file in descendants(each, "file")}
        for section in children(root, "fileSec")
        for each in descendants(section, "fileGrp")
    }
    usual = USUAL_GROUP if USUAL_GROUP in groups else next((each for each in groups if _has_pictures(groups[each])), "")
    name = group or usual
    if not groups.get(name):
        names = ", ".join(printable(each) for each in list(groups)[:_SHOWN]) or "none at all"
        what = f"has no file group {printable(name)} with files in it" if name else "has no file group with pictures"
        raise refused(subject, what, "E_METS_GROUP", f"It has: {names}. Name one with `PATH#group=...`.")
    return name, groups[name]


def _has_pictures(files: dict[str, Element]) -> bool:
    return any(_is_picture(file) for file in files.values())


def _is_picture(file: Element) -> bool:
    kind = file.get("MIMETYPE", "")
    return kind.startswith("image/") or (not kind and why_no_page(PurePosixPath(_href(file)).name) is None)


def _told_apart(pages: list[tuple[MetsPage, str]]) -> list[MetsPage]:
    """Return pages, those whose pictures share a name (`a/1.tif`, `b/1.tif`) named by the IDs of their file entries.

    That is how OCR-D names the files that it makes, and an ID is there once in a METS. The suffix is the picture's.
    """
    times = Counter(page.filename for page, _ in pages)
    shared = {name for name, count in times.items() if count > 1}
    return [
        replace(page, filename=_by_id(page, file)) if file and page.filename in shared else page for page, file in pages
    ]


def _by_id(page: MetsPage, file: str) -> str:
    suffix = PurePosixPath(page.filename).suffix
    return file if file.endswith(suffix) else f"{file}{suffix}"


def _pages(root: Element, files: dict[str, Element]) -> list[tuple[MetsPage, str]]:
    """Return the pages in order, each with the ID of its file entry."""
    divisions = [
        division
        for structure in children(root, "structMap")
        if structure.get("TYPE", "").upper() == "PHYSICAL"
        for division in descendants(structure, "div")
        if division.get("TYPE", "").lower() == "page"
    ]
    if not divisions:
        return [(_located(file, number), name) for number, (name, file) in enumerate(files.items(), start=1)]
    return [_page(division, number, files) for number, division in enumerate(_in_order(divisions), start=1)]


def _in_order(divisions: list[Element]) -> list[Element]:
    """Return divisions by their `ORDER`, where each has one, else as they stand."""
    orders = [division.get("ORDER", "") for division in divisions]
    if not all(order.isascii() and order.isdecimal() for order in orders):
        return divisions
    return [each for _, each in sorted(zip(orders, divisions, strict=True), key=lambda pair: int(pair[0][:18]))]


def _page(division: Element, number: int, files: dict[str, Element]) -> tuple[MetsPage, str]:
    named = (pointer.get("FILEID", "") for pointer in descendants(division, "fptr"))
    found = next((name for name in named if name in files), None)
    return (MetsPage(_numbered(number)), "") if found is None else (_located(files[found], number), found)


def _located(file: Element, number: int) -> MetsPage:
    """Return where the picture of a file entry lies; one that lies nowhere it may is called by the page's number."""
    href = _href(file)
    if not href:
        return MetsPage(_numbered(number))
    try:
        if _on_the_web(href):
            url = plain_url(href)
            name = unquote(PurePosixPath(urlsplit(url).path).name) or file.get("ID", "")
            return MetsPage(name, url=url)
        return _within(href)
    except (NameUnsafeError, ServerRefused, ValueError) as error:
        return MetsPage(_numbered(number), fault=f"names {printable(href, limit=200)} as its picture: {said(error)}")


def _within(href: str) -> MetsPage:
    """Return the page of a picture within the workspace.

    Raises:
        NameUnsafeError: it does not lie there.
    """
    parts = href.removeprefix("./").split("/")
    if ":" in parts[0]:
        raise NameUnsafeError("this names a drive, or an address of another kind than http and https.")
    if ".." in parts or href.startswith("/"):
        raise NameUnsafeError("this leads out of the workspace.")
    for part in parts:
        if not part:
            raise NameUnsafeError("a part of this path is empty.")
        check_name("path", part, max_bytes=MAX_FILENAME_BYTES)
    return MetsPage(parts[-1], path="/".join(parts))


def _numbered(number: int) -> str:
    return f"{number:04}"


def _href(file: Element) -> str:
    return next(_hrefs(file), "")


def _hrefs(file: Element) -> Iterator[str]:
    """Yield the references of a file: to a place in the workspace before one on the web."""
    found = [each.get(_LINK, "") for each in children(file, "FLocat")]
    yield from sorted(found, key=_on_the_web)


def _on_the_web(href: str) -> bool:
    return href.partition(":")[0].lower() in SCHEMES

"""The guards of sources that are more than images in a store: PDFs, and manifests on servers of others."""

from tests.mutants.mutant import Edit, Mutant

_PDF = "jobs/formats/pdf.py"
_SOURCE = "io/sources/pdf.py"
_PAGES = "tests/unit/test_pdf_pages.py"
_VOLUMES = "tests/unit/test_pdf_source.py"
_REACH = "io/servers/addresses.py"
_FETCHING = "io/servers/fetching.py"
_IIIF = "io/sources/iiif.py"
_ADDRESSES = "tests/unit/test_addresses.py"
_FETCHED = "tests/unit/test_fetching.py"
_MANIFESTS = "tests/unit/test_iiif_source.py"


def _one(name: str, guard: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, guard, (Edit(file, old, new),), tests)


SOURCES = (
    _one(
        "pdf-picture-taken-unseen",
        "a picture is taken for its page only where the page shows it and nothing else",
        _PDF,
        " and _shows(page, data)",
        "",
        f"{_PAGES}::TestDrawn",
    ),
    _one(
        "pdf-exif-of-a-picture",
        "the EXIF block of a picture in a PDF turns no page",
        _PDF,
        "header.orientation == UPRIGHT and ",
        "",
        f"{_PAGES}::TestDrawn",
    ),
    _one(
        "pdf-cut-picture-drawn",
        "a picture that is cut is handed on to who says so, and not drawn as far as it goes",
        _PDF,
        "    except (PageError, OSError):\n        return data\n",
        "    except (PageError, OSError):\n        return None\n",
        f"{_PAGES}::TestAsItIs",
    ),
    _one(
        "pdf-page-of-any-size",
        "a page that comes out too large is refused before it is drawn",
        _PDF,
        "if size[0] * size[1] > max_pixels:",
        "if size[0] < 0:",
        f"{_PAGES}::TestHostile",
    ),
    _one(
        "pdf-of-any-number-of-pages",
        "a PDF of too many pages is refused",
        _PDF,
        "if count > MAX_PAGES:",
        "if count < 0:",
        f"{_PAGES}::TestHostile",
    ),
    _one(
        "pdf-disk-away-is-broken",
        "a file that cannot be read is not told as a broken PDF",
        _PDF,
        "raise source.fault or _not_opened(error) from error",
        "raise _not_opened(error) from error",
        f"{_PAGES}::TestChildren",
    ),
    _one(
        "pdf-picture-of-any-size",
        "no picture is taken that is larger than a page's may be",
        "jobs/decoders/documents.py",
        "if size > MAX_BYTES:",
        "if size < 0:",
        f"{_PAGES}::TestChildren",
    ),
    _one(
        "pdf-children-that-write",
        "what reads a PDF writes no file, and starts no program",
        "jobs/decoders/document_child.py",
        "    settle()\n",
        "",
        f"{_PAGES}::TestChildren",
    ),
    _one(
        "pdf-of-another-version",
        "a PDF that was replaced gives no page of the older version",
        _SOURCE,
        "if entry is None or self._version(entry) != manifest.etag:",
        "if entry is None:",
        f"{_VOLUMES}::TestPages",
    ),
    _one(
        "pdf-resolution-in-no-version",
        "pages in another resolution are another version of the volume",
        _SOURCE,
        "\\0{self._dpi}",
        "",
        f"{_VOLUMES}::TestManifest",
    ),
    _one(
        "pdf-sick-machine-final",
        "a PDF that ends its reader is tried again: the machine may be sick",
        _SOURCE,
        "if error.code in _LOST:",
        "if not error.code:",
        f"{_VOLUMES}::TestManifest",
    ),
    _one(
        "pdf-links-out",
        "a PDF that is a link out of its source is not read",
        _SOURCE,
        "if found and self._objects.is_link(found[0].key):",
        "if not found and found is None:",
        f"{_VOLUMES}::TestManifest",
    ),
    _one(
        "pdf-twice",
        "of two PDFs that would be one volume, none is taken",
        _SOURCE,
        "if len(found) > 1:",
        "if len(found) > 2:",
        f"{_VOLUMES}::TestManifest",
    ),
    _one(
        "web-metadata-services",
        "services of cloud metadata and link-local addresses are never asked",
        _REACH,
        "if address in _METADATA or address.is_link_local or",
        "if",
        _ADDRESSES,
    ),
    _one(
        "web-addresses-within-addresses",
        "an IPv4 address within one of IPv6 is judged as what it is",
        _REACH,
        "if within is not None:",
        "if within is None and address is None:",
        _ADDRESSES,
    ),
    _one(
        "web-any-reach",
        "a document leads only as far as it may",
        _REACH,
        "if of_it and (allowed is None or reach in allowed):",
        "if of_it:",
        f"{_FETCHED}::TestReach",
    ),
    _one(
        "web-passwords-and-files",
        "an address with a password in it, or of another kind than HTTP, is not asked",
        _REACH,
        'if parts.scheme not in SCHEMES or not host or "@" in parts.netloc:',
        "if not host:",
        _ADDRESSES,
    ),
    _one(
        "web-names-looked-up-twice",
        "the connection is made to the address that was judged",
        _FETCHING,
        "self._sockets.connect_tcp(str(address), port",
        "self._sockets.connect_tcp(host, port",
        f"{_FETCHED}::TestReach",
    ),
    _one(
        "web-redirects-unjudged",
        "a redirect of what was named by hand leads only as far as that may",
        _FETCHING,
        "allowed or frozenset({Reach.PUBLIC, answer.reach})",
        "allowed",
        f"{_FETCHED}::TestReach",
    ),
    _one(
        "web-answers-of-any-size",
        "no more bytes are taken than are allowed",
        _FETCHING,
        "if size > limit:",
        "if size < 0:",
        f"{_FETCHED}::TestAnswers",
    ),
    _one(
        "web-answers-without-end",
        "an answer that never ends is given up",
        _FETCHING,
        "with anyio.fail_after(self.patience.whole):",
        "with anyio.fail_after(60):",
        f"{_FETCHED}::TestPassing",
    ),
    _one(
        "web-impolite",
        "requests wait for as long as a server asks for",
        _FETCHING,
        "await anyio.sleep(max(0.0, self._not_before.get(host, 0.0) - time.monotonic()))",
        "await anyio.sleep(0)",
        f"{_FETCHED}::TestPolite",
    ),
    _one(
        "web-many-at-once",
        "few requests go to one server at a time",
        _FETCHING,
        "async with _limiter(host):",
        "async with CapacityLimiter(99):",
        f"{_FETCHED}::TestPolite",
    ),
    _one(
        "iiif-member-as-if-named",
        "a manifest that a collection lists may lie only where the collection may lead",
        _IIIF,
        "listed.allowed if url != self._url else None",
        "None",
        f"{_MANIFESTS}::TestReach",
    ),
    _one(
        "iiif-picture-nearer-than-its-manifest",
        "a picture lies no nearer than the manifest that names it",
        _IIIF,
        "listed.allowed & {Reach.PUBLIC, fetched.reach}",
        "listed.allowed",
        f"{_MANIFESTS}::TestReach",
    ),
    _one(
        "iiif-of-another-version",
        "a manifest that changed gives no page of the older version",
        _IIIF,
        "if found is None or found.etag != manifest.etag:",
        "if found is None:",
        f"{_MANIFESTS}::TestManifest",
    ),
    _one(
        "iiif-missing-at-once",
        "a page that was not there is asked for again before that is believed",
        _IIIF,
        "            self._source.missed(self._manifest, page)\n",
        "",
        f"{_MANIFESTS}::TestPages",
    ),
    _one(
        "iiif-collections-without-end",
        "collections are looked through up to a number",
        _IIIF,
        "if number > MAX_COLLECTIONS:",
        "if number < 0:",
        f"{_MANIFESTS}::TestCollection",
    ),
    _one(
        "iiif-two-of-one-name",
        "two manifests that would be one volume are told",
        _IIIF,
        "if other != url:",
        "if not other:",
        f"{_MANIFESTS}::TestCollection",
    ),
)

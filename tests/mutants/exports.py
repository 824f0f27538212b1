"""The guards of documents: what an export writes over, what it takes for its own, what an import believes."""

from tests.mutants.mutant import Edit, Mutant

_DOCUMENTS = "cli/export/documents.py"
_PAGES = "orch/overview/contents.py"

_NAMES = "exports/names.py"
_IMPORT = "jobs/importv1/worker.py"
_IMPORT_TESTS = "tests/unit/importv1/test_worker.py"
_NAMES_TESTS = "tests/unit/exports/test_names.py"
_DOCUMENT_TESTS = "tests/unit/exports/test_documents.py"
_READING_TESTS = "tests/unit/exports/test_reading.py"
_PAGE_TESTS = "tests/unit/orch/test_contents.py"

EXPORTS = (
    Mutant(
        "export-silent-on-errors-before",
        "a page that a job before failed on lacks in no document without a word",
        (Edit("cli/export/volume.py", "        self._note_errors_before()\n", ""),),
        ("tests/unit/test_export_volume.py",),
    ),
    Mutant(
        "export-among-those-of-a-namesake",
        "documents of two volumes of one name are neither lost nor mixed",
        (
            Edit(
                _DOCUMENTS,
                "    if not records or any(record.is_of(location) for record in records):\n",
                "    if True:\n",
            ),
        ),
        (_DOCUMENT_TESTS,),
    ),
    Mutant(
        "export-of-another-source",
        "of volumes of one name, the one of the source that was named is exported, and no other in its place",
        (Edit("cli/export/volumes.py", "if not source or is_of_source(one.volume, source)]", "if True]"),),
        ("tests/unit/test_export_volume.py",),
    ),
    Mutant(
        "overlays-over-those-of-a-namesake",
        "pictures of two volumes of one name do not take each other's place",
        (Edit("cli/run/overlays.py", "    if not marks or any(", "    if True or any("),),
        ("tests/unit/test_overlay.py",),
    ),
    Mutant(
        "import-into-a-namesake",
        "documents of one volume are not taken for those of another of that name",
        (Edit("cli/imports/command.py", "(one for one in found.namesakes if one.source in sources)", "iter(())"),),
        ("tests/unit/importv1/test_volume_of_documents.py",),
    ),
    Mutant(
        "import-takes-another-page",
        "a name that an export gives to one image is never another's",
        (
            Edit(
                _NAMES,
                "            owners.setdefault(name + suffix, image)\n        for image in images:\n",
                "            owners.setdefault(image + suffix, image)\n            owners.setdefault(name + suffix, image)\n        for image in images:\n",
            ),
        ),
        (_NAMES_TESTS,),
    ),
    Mutant(
        "export-forces-nothing",
        "an edited document of the same artefact is written over where that is asked for",
        (Edit(_DOCUMENTS, " and not (self.destination.force and self._changed(key))", ""),),
        (_DOCUMENT_TESTS,),
    ),
    Mutant(
        "export-takes-links-for-documents",
        "a link that leads nowhere is no document",
        (Edit(_DOCUMENTS, "if not objects.is_link(key) and not (", "if not ("),),
        (_DOCUMENT_TESTS,),
    ),
    Mutant(
        "export-writes-over",
        "a document that was changed, or is not ours, stays",
        (
            Edit(
                _DOCUMENTS,
                "        if not self.destination.force and not self._before.is_ours(key, found):\n            return False\n",
                "",
            ),
        ),
        (_DOCUMENT_TESTS,),
    ),
    Mutant(
        "export-takes-any-record",
        "a record that is not ours stays",
        (Edit(_DOCUMENTS, "        if record is None and not self.destination.force:\n", "        if False:\n"),),
        (_DOCUMENT_TESTS,),
    ),
    Mutant(
        "export-skips-other-artefacts",
        "documents of another artefact are made anew",
        (Edit(_DOCUMENTS, "        if self._before.key != self.key:\n            return set()\n", ""),),
        (_DOCUMENT_TESTS,),
    ),
    Mutant(
        "export-forgets-what-stayed",
        "an export that left something lying looks at it again",
        (Edit(_DOCUMENTS, 'key, place = "" if self.foreign else self.key, ', "key, place = self.key, "),),
        (_DOCUMENT_TESTS,),
    ),
    Mutant(
        "export-forgets-what-left",
        "the document of a page that left stays known as ours, so that a page that comes back has its own again",
        (Edit(_DOCUMENTS, "self.lacking, left, *place, begun)", "self.lacking, {}, *place, begun)"),),
        (_DOCUMENT_TESTS,),
    ),
    Mutant(
        "export-unknown-until-its-end",
        "what an export wrote that was killed is ours, also for the export of the next artefact",
        (
            Edit(
                _DOCUMENTS,
                "self._record(replace(self._stored, begun=begun_now,",
                "(replace(self._stored, begun=begun_now,",
            ),
        ),
        (_DOCUMENT_TESTS,),
    ),
    Mutant(
        "export-forgets-earlier-kills",
        "what several exports wrote one after the other, each killed, is ours",
        (
            Edit(
                _DOCUMENTS,
                "known = {key: (*self._stored.begun.get(key, ()), digest)",
                "known = {key: (digest,)",
            ),
        ),
        (_DOCUMENT_TESTS,),
    ),
    Mutant(
        "export-keeps-what-was-begun",
        "a document that another export wrote over, and did not end, is not kept as it is",
        (Edit(_DOCUMENTS, " - self._before.begun.keys()", ""),),
        (_DOCUMENT_TESTS,),
    ),
    Mutant(
        "export-run-forces-all",
        "the command that writes over a document names its volume and format: corrections of others stay",
        (Edit(_DOCUMENTS, " --volume {volume} --force", " --force"),),
        (_DOCUMENT_TESTS,),
    ),
    Mutant(
        "export-of-other-lines",
        "rows of other pages are not taken for those that a page was made from",
        (Edit(_PAGES, "table in beside.items() if _same_pages(table, rows)}", "table in beside.items()}"),),
        (_PAGE_TESTS,),
    ),
    Mutant(
        "export-out-of-its-folder",
        "names of images in an artefact cannot lead a document elsewhere",
        (
            Edit(
                _PAGES,
                'return [check_name("page", name, max_bytes=_MOST_NAME_BYTES) for name in names]',
                "return names",
            ),
        ),
        (_PAGE_TESTS,),
    ),
    Mutant(
        "names-meet",
        "two images of one base name have a document each",
        (Edit(_NAMES, "stem if is_alone else image", "stem"),),
        (_NAMES_TESTS, _IMPORT_TESTS),
    ),
    Mutant(
        "names-of-pictures-meet",
        "the document of a further picture says of which of two files of one base name it is",
        (Edit(_NAMES, "shared[_folded(stem)] == 1 and shared[file] <= 1", "shared[_folded(stem)] == 1"),),
        (_NAMES_TESTS,),
    ),
    Mutant(
        "import-loses-pictures",
        "no document is taken for a further picture's whose row would not be reached behind a file of such a name",
        (Edit(_NAMES, "    if not left or colliding(images):\n", "    if not left:\n"),),
        (_NAMES_TESTS,),
    ),
    Mutant(
        "import-of-no-picture",
        "a document of a picture that its file does not have is an error",
        (Edit(_IMPORT, 'if error.code != "E_IMAGE_FRAME" or _is_broken(page.data):', "if error:"),),
        (_IMPORT_TESTS,),
    ),
    Mutant(
        "import-of-another-picture",
        "a document that names another picture of the file is not taken",
        (Edit(_IMPORT, "not images.isdisjoint((base, file_and_frame(base)[0]))", "base in images"),),
        (_IMPORT_TESTS,),
    ),
    Mutant(
        "controls-in-xml",
        "no document holds what XML cannot",
        (Edit("exports/characters.py", '    return _NO_CHARACTERS.sub("", text)\n', "    return text\n"),),
        ("tests/unit/exports/test_hocr.py", "tests/unit/exports/test_plain.py"),
    ),
    Mutant(
        "entities-read",
        "a document's own entities are refused",
        (
            Edit(
                "exports/xml_tree.py",
                "from defusedxml.ElementTree import fromstring",
                "from xml.etree.ElementTree import fromstring",
            ),
        ),
        (_READING_TESTS,),
    ),
    Mutant(
        "any-unit-read",
        "places in other units than pixels are refused",
        (Edit("exports/reading.py", '    if unit != "pixel":\n', "    if not unit:\n"),),
        (_READING_TESTS,),
    ),
    Mutant(
        "turned-the-wrong-way",
        "documents count angles the other way round",
        (Edit("exports/alto.py", "number(-rotation)", "number(rotation)"),),
        (_READING_TESTS,),
    ),
)

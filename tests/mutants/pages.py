"""The guards that leave no page out in silence: of files, folders, formats, orientation and names."""

from tests.mutants.mutant import Edit, Mutant

FORMATS = "tests/unit/test_more_formats.py"
SOURCES = "tests/unit/test_sources.py"
ODD = "tests/unit/test_odd_files.py"
RUN = "tests/acceptance/test_cli_run.py::test_images_outside_of_all_volumes_are_counted_and_told"


def _one(name: str, guard: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, guard, (Edit(file, old, new),), tests)


LISTS = "tests/unit/orch/test_volume_lists.py"
ENQUEUED = "tests/acceptance/test_cli_operators.py::test_volumes_are_enqueued_from_a_list_and_told_why_not"

SEEN = "tests/acceptance/test_cli_pages.py"
LEFT = "tests/unit/test_part_rows.py"

PAGES = (
    _one(
        "plugins-of-any-shape",
        "a class that lacks what a job worker has is refused before it is used",
        "core/registry.py",
        "    if lacking:\n        raise _broken(job_type, point.value, lacking)\n",
        "",
        "tests/unit/core/test_registry.py::test_a_class_that_is_no_job_worker_is_told_with_what_it_lacks",
    ),
    _one(
        "rules-on-no-column",
        "a rule that skips pages by a column that is not there is refused",
        "jobs/pipeline/page_input.py",
        "if not rows.is_absent and rule.column not in rows.table.column_names:",
        "if rows is None:",
        "tests/unit/test_page_input.py::test_a_rule_on_a_column_that_is_not_there_is_refused_with_those_that_are",
    ),
    _one(
        "rows-of-every-making",
        "rows that the newest attempt does not go by are not told",
        "io/artefacts/part_rows.py",
        "if made_with in {None, part.made_with} else None",
        "if True else None",
        LEFT,
    ),
    _one(
        "oldest-row-of-a-page",
        "of a page that several attempts came to, the newest row is told",
        "io/artefacts/part_rows.py",
        "if part and part.attempt <= attempt), reverse=True)",
        "if part and part.attempt <= attempt))",
        LEFT,
    ),
    _one(
        "pages-without-a-row-left-out",
        "pages that no attempt came to are told",
        "orch/overview/volume_pages.py",
        "[by_number.get(number) or PageView(number, name, NO_ROW) for number, name in every]",
        "[by_number[number] for number, name in every if number in by_number]",
        f"{SEEN}::test_pages_that_no_attempt_came_to_are_told",
    ),
    _one(
        "rows-lost-with-the-volume",
        "a volume fails for its pages only once their rows are stored",
        "core/life/computing.py",
        "    files.rows.flush()\n    code, example",
        "    code, example",
        f"{LEFT}::test_a_volume_fails_only_once_its_rows_are_stored",
    ),
    _one(
        "lines-left-out-are-fine",
        "lines of a list that name no volume are no success",
        "cli/queue/enqueue.py",
        "if listed and listed.faults:\n        raise",
        "if listed and not listed:\n        raise",
        ENQUEUED,
    ),
    _one(
        "columns-in-any-order",
        "a list whose header names other columns is refused",
        "orch/backlog/volume_lists.py",
        "if len(names) < 2 or names != _HEADER[: len(names)]:",
        "if not names:",
        LISTS,
    ),
    _one(
        "any-fourth-field",
        "what stands in the place of a version and is none is told",
        "orch/backlog/volume_lists.py",
        "if version and not _VERSION.fullmatch(version):",
        "if version and not version:",
        LISTS,
    ),
    _one(
        "code-blocks-without-an-end",
        "a JPEG 2000 whose codes do not end where they should is damaged",
        "jobs/formats/jpeg2000.py",
        "if left > LEFT_OVER:",
        "if left > 10**6:",
        f"{FORMATS}::test_flipped_bits_of_jpeg_2000_are_found",
    ),
    _one(
        "zeros-are-pixels",
        "compressed pixels that end in zeros were cut",
        "jobs/formats/header.py",
        "if len(content) - written > _TAIL:",
        "if len(content) - written > 10**9:",
        f"{FORMATS}::test_a_page_filled_up_with_zeros_is_refused",
    ),
    _one(
        "gif-without-its-end",
        "a GIF without its trailer is cut",
        "jobs/formats/gif.py",
        "if fault := _facts(data).fault:",
        "if (fault := _facts(data).fault) and not data:",
        f"{FORMATS}::test_a_cut_page_is_refused",
    ),
    _one(
        "heic-without-its-package",
        "a file that needs a package which is not installed is told as that",
        "jobs/formats/heif.py",
        "and not is_read():",
        "and not data:",
        f"{FORMATS}::test_heic_without_its_package_is_told",
    ),
    _one(
        "black-cmyk",
        "a CMYK JPEG without its marker that is black as ink is looked at as light",
        "jobs/formats/jpeg.py",
        "if ink.mean() < _BLACK:",
        "if ink.mean() < 0:",
        ODD,
        "tests/unit/test_ldv1_worker.py::test_what_the_file_tells_stands_in_the_row",
    ),
    _one(
        "orientation-passed-over",
        "the orientation in its file decides which edge of a page is the upper one",
        "jobs/ldv1/detector.py",
        "if orientation in _UPRIGHT:",
        "if orientation in ():",
        "tests/unit/test_orientation.py",
    ),
    _one(
        "quarters-are-interpolated",
        "a lying page is turned by whole quarters before anything is interpolated",
        "jobs/ocrv1/straighten.py",
        "    quarters = round(angle / 90)\n",
        "    quarters = round(angle / 900)\n",
        "tests/unit/ocrv1/test_straighten.py",
    ),
    _one(
        "frames-without-a-word",
        "pictures of a file that are not read are counted",
        "jobs/ldv1/worker.py",
        "page.unread_frames,",
        "0,",
        "tests/unit/test_ldv1_worker.py::test_what_the_file_tells_stands_in_the_row",
    ),
    _one(
        "only-read-formats-are-pages",
        "a file in a format that is not read is a page, and an error",
        "io/sources/page_files.py",
        'frozenset(f"{_READ} {_NOT_READ}".split())',
        "frozenset(_READ.split())",
        SOURCES,
    ),
    _one(
        "first-layout-wins",
        "the layout is the one in which most images are pages",
        "io/sources/detect.py",
        "best = max(weighed, key=lambda found: found.images)",
        "best = weighed[0]",
        SOURCES,
    ),
    _one(
        "guessed-layout",
        "a folder with more images outside of volumes than inside is refused",
        "io/sources/detect.py",
        "if best.images_outside > best.images:",
        "if best.images_outside < 0:",
        SOURCES,
    ),
    _one(
        "images-outside-are-fine",
        "images in no volume are no success",
        "cli/run/outcome.py",
        "if result.nb_page_errors or result.nb_outside else",
        "if result.nb_page_errors else",
        RUN,
    ),
    _one(
        "pages-by-code-point",
        "pages come in the order of their numbers",
        "io/sources/folder.py",
        "return sorted(found, key=lambda entry: in_page_order(entry.name))",
        "return found",
        SOURCES,
    ),
    _one(
        "version-of-the-order",
        "what was done in another order of pages is found",
        "io/sources/folder.py",
        "for entry in sorted(images, key=lambda entry: entry.name):",
        "for entry in images:",
        SOURCES,
    ),
    _one(
        "links-lead-anywhere",
        "a link out of the source is not followed unless that is asked for",
        "io/stores/folders.py",
        "target.is_relative_to(os.path.realpath(self._root.path))",
        "bool(target)",
        SOURCES,
    ),
    _one(
        "link-to-itself",
        "a link that leads to itself costs one page, and not its volume",
        "io/stores/folders.py",
        "if error.errno != errno.ELOOP:",
        "if error.errno:",
        SOURCES,
    ),
    _one(
        "names-in-one-form",
        "names are found in either Unicode form",
        "jobs/shared/by_name.py",
        'self._names.get(unicodedata.normalize("NFC", name))',
        "self._names.get(name)",
        "tests/unit/test_by_name.py",
    ),
    _one(
        "two-names-are-one",
        "of two names that differ in their Unicode form neither answers for the other",
        "jobs/shared/by_name.py",
        " if times[form] == 1}",
        "}",
        "tests/unit/test_by_name.py",
    ),
    _one(
        "truth-without-a-page",
        "ground truth that belongs to no page is told",
        "jobs/evalv1/truth.py",
        "if stem not in matched)",
        "if stem is None)",
        "tests/unit/evalv1/test_truth.py",
    ),
)

"""Every hostile image of the list, and real ones, each beside three good pages in a volume of the real worker."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import SHARED_DATA
from tests.fuzz.targets import is_sentence
from tests.hostile.images import CASES, FAMILIES, GOOD_PAGES, MORE_CASES, ImageCase, from_file
from tests.hostile.program import MOST_MEMORY, MOST_SECONDS, Ended, bec, rows_of
from tests.hostile.writing import write_images

REAL_CODES = {"cutoff_136.jpg": "E_IMAGE_TRUNCATED", "corrupt_25.jpg": "E_IMAGE_NOT_IMAGE"}
TASKS = """
    SELECT w_id || '/' || i_id AS volume, state, pages_ok, pages_error, counters,
        extract(epoch FROM finished_at - started_at) AS seconds
    FROM tasks JOIN volumes ON volumes.id = volume_id
"""

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of its own, because pytest's are closed to the user that the embedded server runs as for root."""
    with tempfile.TemporaryDirectory(prefix="bec-test-") as folder:
        yield Path(folder)


def test_there_are_32_images_on_the_list() -> None:
    assert len(CASES) == 32


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bad_page_is_one_row_with_its_code_and_the_others_are_fine(family: str, folder: Path) -> None:
    check(folder, [case for case in (*CASES, *MORE_CASES) if case.family == family])


def test_real_odd_pages(shared_data: Path, folder: Path) -> None:
    assert SHARED_DATA.is_dir()
    paths = sorted(path for path in (shared_data / "odd_images").iterdir() if path.suffix != ".tsv")
    check(folder, [from_file("real", path, REAL_CODES.get(path.name)) for path in paths])


def check(folder: Path, cases: list[ImageCase]) -> None:
    """Run `ldv1` over all of them, and hold what the database and the command line tell against what is expected."""
    scans, home = folder / "scans", folder / "home"
    write_images(scans, cases)
    ended = bec(
        *("run", "ldv1", scans, "--out", home, "--max-page-error-rate", "0.9", "--json"),
        settings={"BEC_MEMORY_BUDGET_MIB": "256"},
    )
    tasks = {task["volume"]: task for task in rows_of(home, TASKS)}
    assert [problem for case in cases for problem in problems(case, tasks[case.volume], ended)] == []
    assert ended.code == (3 if any(case.code for case in cases) else 0), ended.err
    assert ended.json["done"] == len(cases)
    assert ended.peak < MOST_MEMORY


def problems(case: ImageCase, task: Mapping[str, Any], ended: Ended) -> list[str]:
    """Return what is not as it should be."""
    pages = case.files().keys()
    bad = dict.fromkeys(pages, case.code) if case.code else {}
    codes = {name: count for name, count in task["counters"].items() if name.startswith("E_")}
    told = {error["img_file_name"]: error for error in ended.json["page_errors"] if volume_of(error) == case.volume}
    expected = {
        "state": (task["state"], "done"),
        "pages with errors": (task["pages_error"], len(bad)),
        "good pages": (task["pages_ok"], GOOD_PAGES + len(pages) - len(bad)),
        "codes in the database": (codes, {case.code: len(bad)} if bad else {}),
        "codes on the command line": ({name: error["code"] for name, error in told.items()}, bad),
        "sentences": ([error["message"] for error in told.values() if not is_sentence(error["message"])], []),
        "in time": (task["seconds"] < MOST_SECONDS, True),
    }
    return [f"{case.volume}: {what}: {is_so}" for what, (is_so, should) in expected.items() if is_so != should]


def volume_of(error: Mapping[str, Any]) -> str:
    return f"{error['volume']['w_id']}/{error['volume']['i_id']}"

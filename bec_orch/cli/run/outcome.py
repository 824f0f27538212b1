"""How the volumes of a run stand, as a table or as JSON, and as an exit code."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bec_orch.cli.export.outcome import documents_json, show_documents
from bec_orch.cli.export.volumes import ExportResult
from bec_orch.cli.process.ending import EXIT_DONE, EXIT_FAILED, EXIT_PAGE_ERRORS
from bec_orch.cli.terminal.console import note, print_json, print_record, print_rows, say
from bec_orch.core.frames import UNREAD
from bec_orch.core.names import escaped, printable
from bec_orch.core.records.overview import TaskView
from bec_orch.core.tasks import TaskState
from bec_orch.core.transcripts import UNSURE_PAGES
from bec_orch.core.volumes import PageCounts
from bec_orch.core.wording import counted
from bec_orch.io.sources.detect import DetectedSource
from bec_orch.orch.overview.page_errors import PageFault
from bec_orch.orch.runs.local_run import RunOutcome

ROWS = 30
"""How many volumes the table shows."""
# More columns than this many counters and the others fit into no terminal.
_COUNTERS = 3
# What the counters of page errors begin with.
_ERROR = "E_"
_FOLDERS = 5
_NO_PAGES = {
    "hidden": "hidden files:",
    "system": "systems' own:",
    "sidecar": "sidecars:",
    "other": "other files:",
    "own": "written by this program:",
}


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run left.

    `pages_per_second` counts the pages that were computed now; None when there were none. `page_errors` are the first
    pages that are errors, also of the jobs that were run first, `needed`: the one that was asked for skipped them.
    `figures` are what the job type tells of the first volumes, by task. `unmatched` is how many documents of an import
    are named like no page; None where nothing was imported. `unmatched_references` are the reference folders, such as
    those of ground truth, that belong to no volume of the run. `passed_over` counts files that are no pages.
    `first_pictures_asked` is whether somebody said that of files with several pictures the first alone is to be done.
    `moved` counts what was still to be done where these volumes, or others beside them, lie no more, by source: it is
    canceled.
    """

    outcome: RunOutcome
    destination: str
    pages_per_second: float | None
    overlays: tuple[Path, ...]
    page_errors: tuple[PageFault, ...] = ()
    needed: tuple[RunOutcome, ...] = ()
    detected: DetectedSource | None = None
    documents: ExportResult | None = None
    figures: Mapping[int, Mapping[str, float | None]] = field(default_factory=dict)
    unmatched: int | None = None
    unmatched_references: tuple[str, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)
    first_pictures_asked: bool = True
    moved: Mapping[str, int] = field(default_factory=dict)

    @property
    def nb_outside(self) -> int:
        """How many page images lie where no volume is."""
        return self.detected.images_outside if self.detected else 0

    @property
    def nb_unread(self) -> int:
        """How many pictures after a file's first are not done."""
        return round(sum(one.counters.get(UNREAD, 0) for one in (*self.needed, self.outcome)))

    @property
    def nb_page_errors(self) -> int:
        """How many pages are errors, each counted for every job that failed on it."""
        return sum(outcome.pages.error for outcome in (*self.needed, self.outcome))


def show(result: RunResult, *, as_json: bool) -> None:
    """Print how the volumes stand, and where everything is."""
    if as_json:
        print_json(_as_json(result))
    else:
        _show(result)


def _show(result: RunResult) -> None:
    outcome = result.outcome
    if result.pages_per_second is None and outcome.is_done:
        say("Nothing to do: everything was done already.")
    counters = {name: value for name, value in outcome.counters.items() if value and not name.startswith(_ERROR)}
    in_table = counters if len(counters) <= _COUNTERS else {}
    rows = [_row(task, in_table, result.figures) for task in in_order(outcome)]
    total = _total(result, in_table)
    columns = {name: name.replace("_", " ") for name in total}
    left_out = {**dict.fromkeys(total), "volume": "in no volume", "state": "left out", "pages": result.nb_outside}
    print_rows([*rows[:ROWS], *([left_out] if result.nb_outside else []), total], columns, empty="")
    if result.unmatched:
        say(f"Documents of no page: {result.unmatched:,}")
    if len(rows) > ROWS:
        say(f"(The first {ROWS} of {len(rows)} volumes are shown.)")
    if len(counters) > _COUNTERS:
        say()
        print_record({name: round(value) for name, value in counters.items()})
    _note_unread(result)
    _note_unsure(result)
    note_references(result.unmatched_references, "of this run")
    if result.pages_per_second:
        say(f"{result.pages_per_second:.1f} pages/s")
    _show_faults(result)
    say()
    say(f"Artefacts: {result.destination}")
    for picture in result.overlays:
        say(f"Picture:   {picture}")
    if result.documents:
        show_documents(result.documents, what="documents of ")


def note_passed_over(files: Mapping[str, int]) -> None:
    """Print how many files are no pages, and why."""
    if files:
        others = (f"{_NO_PAGES[reason]} {count}" for reason, count in sorted(files.items()))
        note(f"Skipped, because they are not pages: {', '.join(others)}.")


def note_moved(job: str, moved: Mapping[str, int]) -> None:
    """Print what is canceled, because volumes lie in another place now."""
    for source, count in sorted(moved.items()):
        lie = "lies" if count == 1 else "lie"
        note(
            f"{counted(count, 'volume')} {lie} no more in {printable(source, limit=300)}: what {job} had still to do "
            "there is canceled, and done where you name it. Pages that were finished there are kept."
        )


def note_references(folders: Sequence[str], of: str) -> None:
    """Print which reference folders belong to no volume."""
    if folders:
        named = ", ".join(map(printable, folders[:_FOLDERS]))
        more = f" and {len(folders) - _FOLDERS:,} more" if len(folders) > _FOLDERS else ""
        one = len(folders) == 1
        what = f"{counted(len(folders), 'folder')} of ground truth {'belongs' if one else 'belong'}"
        note(f"warning: {what} to no volume {of}: {named}{more}.")


def _note_unread(result: RunResult) -> None:
    if result.nb_unread and not result.first_pictures_asked:
        note(f"warning: pictures after a file's first are not done: {result.nb_unread:,}.")
        note('hint: `--config-text \'{"frames": "all"}\'` does every picture of a file; "first" says to leave them.')


def _note_unsure(result: RunResult) -> None:
    unsure = Counter[str]()
    for task in (task for one in (*result.needed, result.outcome) for task in one.tasks):
        unsure[str(task.volume)] += round(task.counters.get(UNSURE_PAGES, 0))
    if total := unsure.total():
        ((most, pages),) = unsure.most_common(1)
        where = most if pages == total else f"{most} ({pages:,}) and others"
        note(f"warning: most lines of {counted(total, 'page')} are read with little confidence: {where}.")
        note(
            "hint: The engine cannot read every hand, script and language (`--config-text`); "
            f"`bec pages {most}` shows which pages they are."
        )


def _show_page_errors(result: RunResult) -> None:
    for fault in result.page_errors:
        page = f"{fault.volume}, page {fault.page} '{fault.img_file_name}'"
        note(f"page error of {fault.job} in {page}: {fault.code}: {fault.message}")
    if not result.page_errors and result.nb_page_errors:
        note(f"{counted(result.nb_page_errors, 'page error')}: the rows of the Parquet file say which pages, and why.")
    elif result.nb_page_errors > len(result.page_errors):
        note(f"(The first {len(result.page_errors)} of {result.nb_page_errors} page errors are shown.)")


def _show_faults(result: RunResult) -> None:
    outcome = result.outcome
    _show_page_errors(result)
    for name, count in outcome.counters.items():
        if name.startswith(_ERROR):
            note(f"pages with {name}: {round(count)}")
    for task in outcome.waiting:
        note(f"waiting {task.volume}: {task.reason}")
    for one in (*result.needed, outcome):
        for task in one.failed:
            where = f" in {task.job}" if one is not outcome else ""
            note(f"failed {task.volume}{where}: {task.failure_code}: {task.failure_message}")
            if task.failure_hint:
                note(f"hint: {task.failure_hint}")


def exit_code(result: RunResult) -> int:
    """Return the exit code for how the volumes stand."""
    if not result.outcome.is_done:
        return EXIT_FAILED
    if result.documents and result.documents.exit_code != EXIT_DONE:
        return result.documents.exit_code
    is_misnamed = bool(result.detected and result.detected.misnamed)
    is_unread = result.nb_unread and not result.first_pictures_asked
    left_out = result.nb_outside or is_misnamed or is_unread or result.unmatched
    return EXIT_PAGE_ERRORS if result.nb_page_errors or left_out else EXIT_DONE


def in_order(outcome: RunOutcome) -> list[TaskView]:
    """Return the newest task of each volume, in the order of the table."""
    return sorted(outcome.tasks, key=lambda task: str(task.volume))


def _row(
    task: TaskView, counters: Mapping[str, float], figures: Mapping[int, Mapping[str, float | None]]
) -> dict[str, Any]:
    pages = _pages(task)
    headings = dict.fromkeys(heading for each in figures.values() for heading in each)
    return {
        "volume": str(task.volume),
        "state": task.state.value,
        "pages": pages.total if pages else None,
        **{name: round(task.counters[name]) if name in task.counters else None for name in counters},
        **{heading: figures.get(task.id, {}).get(heading) for heading in headings},
        "page errors": pages.error if pages else None,
    }


def _pages(task: TaskView) -> PageCounts | None:
    """Return the pages of a volume that is done, or failed because of them; None where they are not known."""
    return task.pages or task.failed_pages


def _total(result: RunResult, counters: Mapping[str, float]) -> dict[str, Any]:
    outcome = result.outcome
    volumes = len(outcome.tasks)
    pages = sum((found for task in outcome.tasks if (found := _pages(task))), PageCounts())
    return {
        "volume": counted(volumes, "volume"),
        "state": f"{outcome.count(TaskState.DONE)} done",
        "pages": pages.total,
        **{name: round(value) for name, value in counters.items()},
        **_totals(result.figures, complete=volumes <= ROWS),
        "page errors": pages.error,
    }


def _totals(figures: Mapping[int, Mapping[str, float | None]], *, complete: bool) -> dict[str, int | None]:
    """Add up the figures that are numbers of something, where those of all volumes are there; means are none."""
    values: dict[str, list[Any]] = {}
    for each in figures.values():
        for heading, value in each.items():
            values.setdefault(heading, []).append(value)
    counts: dict[str, list[int]] = {
        heading: [value for value in found if isinstance(value, int)] for heading, found in values.items()
    }
    return {
        heading: sum(found) if complete and len(found) == len(values[heading]) else None
        for heading, found in counts.items()
    }


def _as_json(result: RunResult) -> dict[str, Any]:
    outcome = result.outcome
    rejected = result.detected.rejected if result.detected else ()
    return {
        "volumes": len(outcome.tasks),
        "done": outcome.count(TaskState.DONE),
        "failed": len(outcome.failed),
        "left_out": (*(f"{escaped(each.name)}: {each.reason}" for each in rejected), *outcome.left_out),
        "layout": result.detected.layout if result.detected else None,
        "outside": result.detected.outside if result.detected else (),
        "images_outside": result.nb_outside,
        "misnamed": result.detected.misnamed if result.detected else (),
        "passed_over": result.passed_over,
        "pages": outcome.pages,
        "counters": outcome.counters,
        "pages_per_second": result.pages_per_second,
        "artefacts": result.destination,
        "pictures": result.overlays,
        "documents": documents_json(result.documents) if result.documents else None,
        "page_errors": result.page_errors,
        "figures": {str(task.volume): result.figures[task.id] for task in outcome.tasks if task.id in result.figures},
        "unmatched_documents": result.unmatched,
        "unmatched_references": result.unmatched_references,
        "moved": result.moved,
        "tasks": outcome.tasks,
    }

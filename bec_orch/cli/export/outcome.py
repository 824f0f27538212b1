"""What became of an export, as a table or as JSON."""

from pathlib import PurePosixPath
from typing import Any

from bec_orch.cli.export.volume import VolumeReport
from bec_orch.cli.export.volumes import ExportResult
from bec_orch.cli.terminal.console import note, print_json, print_rows, say
from bec_orch.core.wording import counted

_ROWS = 30
_NOTES = 20
_PLACES = 5


def show(result: ExportResult, *, as_json: bool) -> None:
    """Print what was written, and what is not as it could be."""
    if as_json:
        print_json(documents_json(result))
        return
    columns = {name: name for name in ("volume", "pages", "page errors", "documents", "there already")}
    print_rows([_row(report) for report in result.done[:_ROWS]], columns, empty="No volume was exported whole.")
    if len(result.done) > _ROWS:
        say(f"(The first {_ROWS} of {len(result.done):,} volumes are shown.)")
    if result.unfinished:
        note(f"{counted(result.unfinished, 'volume')} of the job {'is' if result.unfinished == 1 else 'are'} not done.")
    say()
    show_documents(result)


def show_documents(result: ExportResult, *, what: str = "") -> None:
    """Print where the documents are, and what is not as it could be; `what` failed of a volume that is done itself."""
    notes = _notes(result)
    for text in notes[:_NOTES]:
        note(f"warning: {text}")
    if len(notes) > _NOTES:
        note(f"(The first {_NOTES} of {len(notes):,} warnings are shown; --json has them all.)")
    for volume, error in result.failed:
        note(f"failed {what}{volume}: {error.code}: {error.message}")
        if error.hint:
            note(f"hint: {error.hint}")
    say(f"Documents: {result.destination}")
    texts = [place for report in result.done for place in report.places if PurePosixPath(place).suffix == ".txt"]
    for place in texts[:_PLACES]:
        say(f"Text:      {result.destination}/{place}")
    if len(texts) > _PLACES:
        say(f"(The first {_PLACES} of {len(texts):,} texts are shown.)")


def documents_json(result: ExportResult) -> dict[str, Any]:
    """Return what became of an export as JSON has it."""
    failed = [
        {"volume": str(volume), "code": error.code, "message": error.message, "hint": error.hint}
        for volume, error in result.failed
    ]
    return {
        "destination": result.destination,
        "volumes": result.done,
        "failed": failed,
        "unfinished": result.unfinished,
        "warnings": _notes(result),
    }


def _notes(result: ExportResult) -> list[str]:
    nothing = [f"{volume} is not done, and no attempt left any of its pages." for volume in result.nothing]
    refused = {volume for volume, _ in result.failed}
    elsewhere = [
        f"{volume} is done from other sources, too, which have other pictures: what is exported is of {volume.source}; "
        "`bec export --source` takes another."
        for volume in result.elsewhere
        if volume not in refused
    ]
    return list(dict.fromkeys([*nothing, *elsewhere, *(text for report in result.done for text in report.notes)]))


def _row(report: VolumeReport) -> dict[str, Any]:
    return {
        "volume": str(report.volume),
        "pages": report.pages,
        "page errors": report.page_errors,
        "documents": report.documents,
        "there already": report.skipped,
    }

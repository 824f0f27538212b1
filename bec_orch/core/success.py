"""What a `success.json` says, and when one that is there already makes an attempt needless."""

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from bec_orch.core.artefacts import ArtefactFile, AttemptKey, StoredFile, Success
from bec_orch.core.frames import COUNTER
from bec_orch.core.metrics import Metrics, StageTime
from bec_orch.core.tasks import Claim, TaskResult
from bec_orch.core.volumes import Manifest, PageCounts, same_etag
from bec_orch.errors import PlaceTaken, TerminalError

_TIMES = {field.name for field in fields(StageTime)}


def success_content(
    claim: Claim, manifest: Manifest, result: TaskResult, worker_id: str, begun: dt.datetime
) -> dict[str, Any]:
    """Return the content of a `success.json` (docs/artefact-formats.md), but for the marks of whose it is."""
    return {
        "job": claim.job.name,
        "type": claim.job.type,
        "config": dict(claim.job.config),
        "config_hash": result.config_hash,
        "code_version": result.code_version,
        "models": [{"name": model.name, "digest": model.digest} for model in result.models],
        "inputs": dict(result.inputs),
        "w_id": claim.volume.w_id,
        "i_id": claim.volume.i_id,
        "source": claim.volume.source,
        "manifest_etag": manifest.etag,
        "task": claim.task_uid,
        "attempt": claim.attempt,
        "worker": worker_id,
        "started_at": begun.isoformat(timespec="seconds"),
        "finished_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "pages": {
            "total": result.pages.total,
            "ok": result.pages.ok,
            "skipped": result.pages.skipped,
            "error": result.pages.error,
        },
        "counters": dict(result.counters),
        "stages": dict(result.metrics.get("stages", {})),
        "files": [asdict(file) for file in result.files],
        "sidecars": [asdict(file) for file in result.sidecars],
    }


def is_wanted(found: Success, claim: Claim, manifest: Manifest, key: AttemptKey) -> bool:
    """Return whether an artefact that is there is what this attempt would make, its files not yet looked at.

    One that this very task made is, even when the work was asked for with force: the commit's acknowledgement was lost.
    One of an older layout is, unless force is asked for: it cannot say what it was made with.

    Raises:
        TerminalError: the artefact is of another manifest whose ETag begins with the same six digits.
    """
    if found.manifest_etag is None:
        return not claim.force
    if not same_etag(found.manifest_etag, manifest.etag):
        raise TerminalError(
            f"The artefact {found.location.prefix} is of the manifest {found.manifest_etag}, not {manifest.etag}.",
            code="E_VERSION_COLLISION",
            hint="Two versions of the volume share six hex digits: move the older artefact away.",
        )
    if found.task_uid == claim.task_uid:
        return True
    made_with = (found.config_hash, found.models, found.code_version, dict(found.inputs))
    return made_with == (key.config_hash, key.models, key.code_version, dict(key.inputs)) and not claim.force


def foreign_artefact(found: Success, claim: Claim) -> PlaceTaken:
    """Return the error of an artefact that another database or program left where this task's would lie."""
    made_by = f"database {found.mark.database}" if found.mark.database else "program or database"
    cannot = ", and it is not what this job would make, or not whole" if claim.adopt_foreign else ""
    replace = f"bec queue replace-foreign {claim.job.name} {claim.volume} --source {claim.volume.source}"
    return PlaceTaken(
        f"The artefact {found.location.prefix} is of another {made_by}{cannot}: it is left as it is.",
        hint="Take it as it is (`--adopt-foreign` of `bec run` and `bec queue enqueue`), replace its success.json "
        f"(`{replace}`), or give the job another name: its artefacts lie under that.",
    )


def further_rows(found: Success) -> int:
    """Return how many rows an artefact has for pictures after a file's first, as it says."""
    counters = (found.content or {}).get("counters")
    further = counters.get(COUNTER) if isinstance(counters, Mapping) else None
    return further if isinstance(further, int) and further > 0 else 0


def pages_of(found: Success, nb_pages: int) -> PageCounts:
    """Return the page counts that the database records for an artefact that is there already.

    The earlier system counts errors alone, over pages of its own choice: all others count as ok. So do all pages where
    nothing is said.
    """
    if found.pages and found.manifest_etag is not None:
        return found.pages
    errors = min(found.pages.error, nb_pages) if found.pages else 0
    return PageCounts(ok=nb_pages - errors, error=errors)


def adopted_result(found: Success, manifest_etag: str, nb_pages: int, *, own: bool) -> TaskResult:
    """Return the result that the database records for an artefact that is there already.

    What an older layout does not say stays empty. `own` says that this task made it.
    """
    content: Mapping[str, Any] = found.content or {}
    return TaskResult(
        manifest_etag=manifest_etag,
        config_hash=found.config_hash or "",
        code_version=found.code_version or "",
        models=found.models,
        pages=pages_of(found, nb_pages),
        files=found.files,
        sidecars=found.sidecars,
        counters=_numbers(content.get("counters")),
        metrics={"stages": _times(content.get("stages")), "counters": {}},
        inputs=found.inputs,
        adopted=not own,
    )


def _numbers(said: Any) -> dict[str, float]:
    """Return the numbers of what may be anything: another program may have written it."""
    entries = said.items() if isinstance(said, Mapping) else ()
    return {name: number for name, number in entries if isinstance(number, int | float) and math.isfinite(number)}


def _times(said: Any) -> dict[str, dict[str, float]]:
    """Return the times of stages of what may be anything."""
    entries = said.items() if isinstance(said, Mapping) else ()
    return {name: times for name, time in entries if (times := _numbers(time)) and times.keys() <= _TIMES}


def fresh_result(
    manifest: Manifest,
    key: AttemptKey,
    pages: PageCounts,
    file: ArtefactFile,
    counters: Mapping[str, float],
    metrics: Metrics,
    sidecars: tuple[StoredFile, ...] = (),
) -> TaskResult:
    """Return the result of an attempt that did the work."""
    return TaskResult(
        manifest_etag=manifest.etag,
        config_hash=key.config_hash,
        code_version=key.code_version,
        models=key.models,
        pages=pages,
        files=(file,),
        sidecars=sidecars,
        counters=counters,
        metrics=metrics.to_json(),
        inputs=key.inputs,
    )

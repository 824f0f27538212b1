"""What must hold when a scene is over: nothing lost, nothing done twice, every artefact whole and right."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bec_orch.core.artefacts import Success
from tests.faults.lane import SECRETS
from tests.faults.scene import Expected, Row, Scene
from tests.support.owners import contents

_TASKS = """
SELECT t.id, t.state, t.attempt, t.charged, t.manifest_etag, t.artefact_key, t.failure_code, t.cancel_reason,
       v.w_id, v.i_id, v.source
FROM tasks t JOIN volumes v ON v.id = t.volume_id ORDER BY t.id
"""
_DONE_TWICE = """
SELECT a.task_id FROM task_attempts a WHERE a.outcome IN ('done', 'adopted') GROUP BY a.task_id HAVING count(*) > 1
"""
_UNCLOSED = """
SELECT a.task_id FROM task_attempts a JOIN tasks t ON t.id = a.task_id
WHERE a.outcome IS NULL AND t.finished_at IS NOT NULL
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found wrong; all empty when every promise held."""

    lost: tuple[str, ...] = ()
    twice: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()

    @property
    def held(self) -> bool:
        """Whether every promise held."""
        return not (self.lost or self.twice or self.invalid or self.broken)

    def lines(self) -> list[str]:
        """Return one line for each thing that is wrong."""
        kinds = {"lost": self.lost, "done twice": self.twice, "invalid": self.invalid, "broken": self.broken}
        return [f"{kind}: {what}" for kind, found in kinds.items() for what in found]


NOTHING_WRONG = Verdict()


def judge(scene: Scene) -> Verdict:
    """Look at everything that a scene left."""
    tasks = scene.sql(_TASKS)
    last = {task["i_id"]: task for task in tasks if task["state"] != "canceled"}
    return Verdict(
        lost=tuple(_lost(scene, last)),
        twice=tuple(_twice(scene, tasks)),
        invalid=tuple(_invalid(scene, last)),
        broken=(*scene.broken, *_broken(scene, tasks)),
    )


def _lost(scene: Scene, last: dict[str, Row]) -> list[str]:
    found = []
    for i_id, expected in scene.expected.items():
        task = last.get(i_id)
        ended = (task["state"], task["failure_code"]) if task else ("canceled", None)
        if ended != (expected.state, expected.code):
            found.append(f"{i_id} is {ended}, not {(expected.state, expected.code)}")
    return found


def _twice(scene: Scene, tasks: list[Row]) -> list[str]:
    """Transitions to done of one task, done tasks of one version, and `success.json` made more than once."""
    found = [f"task {row['task_id']} has two commits" for row in scene.sql(_DONE_TWICE)]
    done = Counter((task["i_id"], task["manifest_etag"]) for task in tasks if task["state"] == "done")
    found += [f"{i_id} has {times} done tasks" for (i_id, _), times in done.items() if times > scene.generations]
    cloud = scene.lane.cloud
    if cloud:
        ours = scene.dest_url.removeprefix("s3://")
        puts = Counter(
            path.partition("?")[0]
            for method, path, status in cloud.answers
            if (method, status) == ("PUT", 200) and ours in path and path.partition("?")[0].endswith("success.json")
        )
        found += [f"{path} was made {times} times" for path, times in puts.items() if times > scene.generations]
    return found


def _invalid(scene: Scene, last: dict[str, Row]) -> list[str]:
    found = []
    for i_id, expected in scene.expected.items():
        task = last.get(i_id)
        if expected.state == "done" and task and task["state"] == "done":
            found += [f"{i_id}: {fault}" for fault in _artefact_faults(scene, task, expected)]
    return found


def _artefact_faults(scene: Scene, task: Row, expected: Expected) -> list[str]:
    success = scene.success(task)
    if success is None:
        return ["there is no success.json"]
    file = success.files[0]
    if file.key != task["artefact_key"]:
        return [f"the database names {task['artefact_key']}, success.json {file.key}"]
    told = {one.key: (one.size, one.sha256) for one in (file, *success.sidecars)}
    wrong = [key for key, facts in told.items() if _facts(scene, key) != facts]
    if wrong:
        return [f"the file {key} is not what success.json says" for key in wrong]
    if len(success.sidecars) < sum(length is not None for length in expected.lengths):
        return [f"of {len(expected.lengths)} pages, {len(success.sidecars)} have a sidecar file"]
    if not scene.artefacts.verify(success, len(expected.lengths)):
        return [f"the file {file.key} is broken"]
    return _row_faults(scene, success, expected)


def _facts(scene: Scene, key: str) -> tuple[int, str] | None:
    blob = scene.destination().read(key)
    return None if blob is None else (len(blob.data), hashlib.sha256(blob.data).hexdigest())


def _row_faults(scene: Scene, success: Success, expected: Expected) -> list[str]:
    lengths = scene.artefacts.read_rows(success, ["length"])["length"].to_pylist()
    factor = scene.factors.get(success.config_hash or "", 1)
    wanted = [None if length is None else length * factor for length in expected.lengths]
    return [] if lengths == wanted else [f"the pages have {lengths}, not {wanted}"]


def _broken(scene: Scene, tasks: list[Row]) -> list[str]:
    found = [f"task {row['task_id']} has an end, and an attempt of it has none" for row in scene.sql(_UNCLOSED)]
    charged = [task["i_id"] for task in tasks if task["charged"]]
    if scene.uncharged and charged:
        found.append(f"charged without fault: {', '.join(charged)}")
    unwanted = [task for task in tasks if task["state"] == "canceled" and not _may_be_canceled(scene, task)]
    found += [f"{task['i_id']} was canceled: {task['cancel_reason']}" for task in unwanted]
    return found + _harmed(scene) + _litter(scene) + _told_secrets(scene)


def _harmed(scene: Scene) -> list[str]:
    """What others left beside our artefacts has to be there as they left it."""
    there = contents(scene.destination())
    return [f"{key} of others was harmed" for key, data in scene.of_others.items() if there.get(key) != data]


def _may_be_canceled(scene: Scene, task: Row) -> bool:
    return scene.cancels or scene.expected[task["i_id"]].state == "canceled"


def _litter(scene: Scene) -> list[str]:
    """Half-written files where a reader could see them: a folder shows what an object store keeps to itself.

    What nobody reads may stay: a write that was cut off under its staging name, and the probe of a worker that was
    killed while it looked whether it may write.
    """
    if scene.lane.cloud:
        return []
    root = Path(urlsplit(scene.dest_url).path)
    strange = [path for path in root.rglob("*") if path.is_file() and not path.name.endswith((".parquet", ".json"))]
    seen = [path for path in strange if "#" not in path.name and not path.name.startswith(".bec-probe-")]
    return [f"{path.relative_to(root)} was left behind" for path in seen]


def _told_secrets(scene: Scene) -> list[str]:
    said = "".join(process.log() for process in scene.processes)
    return [f"{secret} was told in a log" for secret in SECRETS if secret in said]

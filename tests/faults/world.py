"""What changes around a job while it runs: its volumes, its config, its messages, its budget."""

import json
from collections.abc import Callable, Mapping
from functools import partial

from bec_orch.core.fault_points import FaultPoint
from bec_orch.core.messages import TaskMessage
from tests.faults.fault import Fault, add
from tests.faults.scene import PAGES, WORK, Expected, Scene
from tests.support.owners import THEIRS

_MALFORMED = (
    "this is no JSON",
    "[1, 2, 3]",
    "{}",
    '{"w_id": "W1"}',
    '{"w_id": 1, "i_id": 2}',
    '{"w_id": "../../etc", "i_id": "passwd"}',
    json.dumps({"w_id": "W1", "i_id": "I1", "job": "another-job"}),
    json.dumps({"w_id": "W1", "i_id": "I1", "padding": "x" * 200_000}),
)


def _in_mid_volume(scene: Scene, change: Callable[[Scene, str], None]) -> None:
    """Change something while a worker pauses after the first page of a volume."""
    scene.enqueue()
    worker = scene.hit(f"{FaultPoint.PAGE_DONE}:pause")
    volume = worker.wait_for("task.claimed")["volume"]
    change(scene, volume.rpartition("/")[2].partition(" ")[0])


def _manifest(scene: Scene, i_id: str) -> None:
    scene.cancels = True
    scene.write_manifest(i_id, PAGES, width=11)


def _manifest_before(scene: Scene) -> None:
    """A volume is enqueued for one version of its manifest, and has another one when its turn comes."""
    scene.run("queue", "enqueue", scene.name, "--file", str(scene.volumes_file()), "--refresh")
    _manifest(scene, "I0001")
    scene.worker().wait_for("task.claimed")
    canceled = "SELECT count(*) AS tasks FROM tasks WHERE state = 'canceled'"
    scene.until(lambda: scene.sql(canceled)[0]["tasks"] == 1, "the task of the older version was canceled")
    scene.uncharged = True


def _manifest_shorter(scene: Scene, i_id: str) -> None:
    scene.cancels = True
    scene.write_manifest(i_id, PAGES - 1)
    scene.expected[i_id] = Expected("done", scene.expected[i_id].lengths[:-1])


def _page_replaced(scene: Scene, i_id: str) -> None:
    scene.put(scene.page_key(i_id, PAGES - 1), b"x" * 77)
    scene.expected[i_id] = Expected("done", (*scene.expected[i_id].lengths[:-1], 77))


def _page_deleted(scene: Scene, i_id: str) -> None:
    scene.remove(scene.page_key(i_id, PAGES - 1))
    scene.expected[i_id] = Expected("done", (*scene.expected[i_id].lengths[:-1], None))


def _config(scene: Scene, _i_id: str) -> None:
    """The running task keeps what it began with; those that are claimed later have the new config."""
    for factor in (1, 3):
        scene.update_job(config={"factor": factor})
        scene.factors[scene.sql("SELECT config_hash FROM jobs")[0]["config_hash"]] = factor


def _deleted(scene: Scene) -> None:
    """What is done stays; all else is canceled, and no worker falls over it."""
    _in_mid_volume(scene, lambda scene, _i_id: scene.delete_job())
    scene.until(lambda: scene.unfinished() == 0, "every task of a deleted job has an end")
    done = {
        row["i_id"]
        for row in scene.sql("SELECT i_id FROM volumes v JOIN tasks t ON t.volume_id = v.id WHERE state = 'done'")
    }
    for i_id in scene.expected.keys() - done:
        scene.expected[i_id] = Expected("canceled")


def _doubled(scene: Scene) -> None:
    """Each message comes four times, to several workers, and once more when all is done."""
    scene.enqueue()
    messages = [TaskMessage(volume.w_id, volume.i_id, volume.source, scene.name) for volume in scene.volumes]
    for _ in range(3):
        scene.with_queue(lambda queue: queue.send(messages[::-1]))
    for worker in (scene.worker(), scene.worker()):
        worker.wait_for("task.claimed")
    scene.until(lambda: scene.unfinished() == 0, "all was done")
    scene.with_queue(lambda queue: queue.send(messages))
    scene.uncharged = True


def _purged(scene: Scene) -> None:
    """Every message is lost while the first volume runs: maintenance sends them again."""
    scene.enqueue()
    worker = scene.hit(f"{FaultPoint.PAGE_DONE}:pause")
    scene.purge()
    scene.until(lambda: scene.unfinished() == 0, "all was done by a worker whose queue was purged")
    scene.promise(worker.running, "a worker did not outlive the purge of its queue")
    scene.uncharged = True


def _garbage(scene: Scene) -> None:
    """Messages that make no sense are parked with their reason, and the others go on."""
    scene.enqueue()
    for body in _MALFORMED:
        _send_raw(scene, body)
    worker = scene.worker()
    parked = "SELECT count(*) AS messages FROM rejected_messages"
    scene.until(lambda: scene.sql(parked)[0]["messages"] == len(_MALFORMED), "the malformed messages were parked")
    scene.promise(worker.running, "a malformed message ended a worker")
    scene.uncharged = True
    scene.cancels = True


def _send_raw(scene: Scene, body: str) -> None:
    if scene.lane.moto_url:
        sqs = scene.lane.client("sqs")
        url = sqs.get_queue_url(QueueName=f"bec_{scene.name}_tasks")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=body)
    else:
        scene.sql("INSERT INTO queue_messages (queue, body) VALUES (%(queue)s, %(body)s)", queue=scene.name, body=body)


def _redriven_twice(scene: Scene) -> None:
    """A volume that failed for good is redriven twice, among others that are done: it is done once."""
    key = f"{scene.page_key('I0003', 0).rpartition('/images/')[0]}/images/{WORK}-0003/dimensions.json"
    scene.put(key, b"no manifest")
    scene.enqueue()
    scene.finish()
    states = {
        row["i_id"]: row["failure_code"]
        for row in scene.sql("SELECT i_id, failure_code FROM volumes v JOIN tasks t ON t.volume_id = v.id")
    }
    scene.promise(states["I0003"] == "E_MANIFEST_JSON", f"a broken manifest is told as {states['I0003']}")
    scene.write_manifest("I0003", PAGES)
    for _ in range(2):
        scene.run("queue", "redrive", scene.name, "--reason", "E_MANIFEST_JSON")


def _others_were_first(scene: Scene) -> None:
    """An artefact of another program is where one of ours is to be, and one of another database comes in mid-run."""
    _publish_as_others(scene, "I0004", {"job_id": 7, "total_images": 4})
    _in_mid_volume(scene, partial(_publish_as_others, content={"format": 1, "database": THEIRS, "files": []}))
    scene.uncharged = True


def _publish_as_others(scene: Scene, i_id: str, content: Mapping[str, object]) -> None:
    key = f"{scene.place(i_id).prefix}/success.json"
    if key not in scene.of_others:
        scene.leave(key, json.dumps(content).encode())
        scene.expected[i_id] = Expected("terminal_failed", code="E_ARTEFACT_FOREIGN")


def _add_all() -> None:
    changes = {
        "manifest replaced in mid-run": (_manifest, "F33"),
        "manifest with a page less in mid-run": (_manifest_shorter, "F33"),
        "page replaced in mid-run": (_page_replaced, "F34"),
        "page deleted in mid-run": (_page_deleted, "F34"),
        "config edited in mid-run": (_config, "F35"),
    }
    for name, (change, row) in changes.items():
        strike = partial(_in_mid_volume, change=change)
        add(
            Fault(row, name, strike, alone=change is not _manifest, short=change in {_manifest, _page_deleted, _config})
        )
    add(Fault("F33", "manifest replaced between enqueueing and run", _manifest_before, alone=True))
    add(Fault("F35", "job deleted in mid-run", _deleted, alone=True, short=True))
    add(Fault("F21", "every message doubled, backwards, and late", _doubled, alone=True, short=True))
    add(Fault("G31", "artefacts of others in the way", _others_were_first, alone=True, short=True))
    add(Fault("F25", "queue purged in mid-run", _purged, short=True, alone=True))
    add(Fault("F28", "malformed messages", _garbage, alone=True, short=True))
    add(Fault("F36", "redriven twice", _redriven_twice, alone=True, short=True))


_add_all()

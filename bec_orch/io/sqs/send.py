"""Sends many messages to SQS: ten in a call, several calls at a time, and what SQS refused for now once more."""

from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

import stamina

from bec_orch.core.wording import clause, said
from bec_orch.errors import PartlySent, QueueError
from bec_orch.io.sqs.errors import queue_errors

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

    Entry = SendMessageBatchRequestEntryTypeDef

# What SQS takes in one call.
BATCH = 10
# A call takes some 20 ms, nearly all of it waiting; SQS takes any number of calls at a time.
IN_FLIGHT = 16
# The longest pause before what SQS could not take just now is sent again.
LONGEST_WAIT = 3.0


class _NotAllTaken(Exception):
    """SQS took some entries of a batch, and has a fault of its own with the rest."""


def send_bodies(client: "SQSClient", url: str, bodies: Sequence[str], *, delay: int = 0) -> None:
    """Send a message for each body.

    Raises:
        PartlySent: SQS is away or refused; the error names the positions of the bodies that it took before.
    """
    entries: list[Entry] = [
        {"Id": str(position), "MessageBody": body, "DelaySeconds": delay} for position, body in enumerate(bodies)
    ]
    taken: set[int] = set()
    batches = [entries[start : start + BATCH] for start in range(0, len(entries), BATCH)]
    with ThreadPoolExecutor(max(1, min(IN_FLIGHT, len(batches))), thread_name_prefix="sqs-send") as pool:
        futures = [pool.submit(_send_batch, client, url, batch, taken) for batch in batches]
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()
    error = _first_error(futures)
    if error:
        raise PartlySent(error.message, code=error.code, hint=error.hint, sent=sorted(taken)) from error


def _first_error(futures: "list[Future[None]]") -> QueueError | None:
    """Return the first error of ours; one that nobody foresaw is raised."""
    for future in futures:
        error = None if future.cancelled() else future.exception()
        if isinstance(error, QueueError):
            return error
        if error:
            raise error
    return None


def _send_batch(client: "SQSClient", url: str, batch: "list[Entry]", taken: set[int]) -> None:
    try:
        for attempt in stamina.retry_context(
            on=_NotAllTaken, attempts=6, timeout=30, wait_initial=0.1, wait_max=LONGEST_WAIT
        ):
            with attempt:
                _send_rest(client, url, [entry for entry in batch if int(entry["Id"]) not in taken], taken)
    except _NotAllTaken as error:
        raise QueueError(
            f"SQS did not take all messages: {said(error)}.", code="E_QUEUE_BUSY", hint="Try again."
        ) from error


def _send_rest(client: "SQSClient", url: str, entries: "list[Entry]", taken: set[int]) -> None:
    with queue_errors("send messages"):
        answer = client.send_message_batch(QueueUrl=url, Entries=entries)
    taken.update(int(entry["Id"]) for entry in answer.get("Successful", []))
    for failed in answer.get("Failed", []):
        why = failed.get("Message", failed["Code"])
        if failed["SenderFault"]:
            raise QueueError(f"SQS refused a message: {clause(why)}.", code="E_QUEUE_REFUSED")
        raise _NotAllTaken(why)

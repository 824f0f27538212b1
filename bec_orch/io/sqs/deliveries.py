"""What this process holds of a queue's messages.

SQS takes a delete with a handle that is no longer the newest, says that all is well, and may have deleted nothing, or
a message that somebody else is at work on. So a receipt is good here only while the message is hidden for us, counted
on this machine's own clock; beyond that nothing is even asked.
"""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from bec_orch.io.sqs.errors import expired

# SQS hides a message for at most so long from when it was received, however often that is extended.
LONGEST_HIDDEN = 12 * 3600


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that was received. Times are of the monotonic clock."""

    message_id: str
    handle: str
    body: str
    received_at: float
    hidden_until: float

    @property
    def receipt(self) -> str:
        """What the rest of the program knows it by."""
        return f"{self.message_id} {self.handle}"


class Deliveries:
    """The messages that are hidden for us, by message. May be used by several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._by_message: dict[str, Delivery] = {}

    def add(self, message_id: str, handle: str, body: str, seconds: float) -> Delivery:
        """Take note of a message that was received just now, hidden for `seconds`; older receipts of it end."""
        now = self._clock()
        delivery = Delivery(message_id, handle, body, now, now + seconds)
        with self._lock:
            self._by_message = {held.message_id: held for held in self._by_message.values() if held.hidden_until > now}
            self._by_message[message_id] = delivery
        return delivery

    def held(self, receipt: str) -> Delivery:
        """Return the message of a receipt.

        Raises:
            ReceiptExpired: it is not hidden for us, or no longer.
        """
        with self._lock:
            delivery = self._by_message.get(receipt.partition(" ")[0])
        if delivery is None or delivery.receipt != receipt or delivery.hidden_until <= self._clock():
            raise expired()
        return delivery

    def hideable(self, delivery: Delivery, seconds: float) -> int:
        """Return the whole seconds, of those that are wanted, for which SQS would still hide the message.

        Raises:
            ReceiptExpired: there are none left.
        """
        left = math.floor(delivery.received_at + LONGEST_HIDDEN - self._clock())
        if left < 1:
            raise expired()
        return min(max(math.ceil(seconds), 0), left)

    def hidden(self, delivery: Delivery, seconds: float) -> None:
        """Take note that a message is hidden for `seconds` from now; 0 gives it back."""
        until = self._clock() + seconds
        renewed = Delivery(delivery.message_id, delivery.handle, delivery.body, delivery.received_at, until)
        with self._lock:
            known = self._by_message.get(delivery.message_id)
            if known is not None and known.handle == delivery.handle:
                self._by_message[delivery.message_id] = renewed

    def remove(self, delivery: Delivery) -> None:
        """Forget a message that is gone."""
        with self._lock:
            known = self._by_message.get(delivery.message_id)
            if known is not None and known.handle == delivery.handle:
                del self._by_message[delivery.message_id]

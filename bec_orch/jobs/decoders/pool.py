"""The decoder processes of a worker: one for each thread that decodes at a time.

A child that crashes, runs out of memory or out of time costs one page: it is tried once more in a fresh child, and is
an error then. The worker and its other pages go on.
"""

import atexit
from collections.abc import Sequence

from bec_orch.errors import PageError, TaskFault
from bec_orch.jobs.decoders.process import PROGRAM, DecoderLost, DecoderProcess
from bec_orch.jobs.formats.header import Decoded, ImageHeader

SECONDS = 120.0
"""For one page, by the clock. The child's CPU time is limited more closely, and a busy machine does not count there."""
MOST_LOST = 3
"""When this many pages in a row end their children, with none decoded in between, the pages alone are not to blame."""


class DecoderPool:
    """Decodes pages in child processes. Any thread may call it; children are started as they are needed, and kept.

    Args:
        program: the command of a child.
        seconds: how long one page may take, by the clock.
    """

    def __init__(self, program: Sequence[str] = PROGRAM, seconds: float = SECONDS) -> None:
        self._program = program
        self._seconds = seconds
        self._idle: list[DecoderProcess] = []  # each operation on it is atomic
        self._lost_in_a_row = 0
        atexit.register(self.close)

    def decode(self, data: bytes, header: ImageHeader, reduce: int) -> Decoded:
        """Decode a page, shrunk to 1/`reduce`.

        Raises:
            PageError: what the decoder says of it; E_PAGE_CRASH, E_PAGE_MEMORY or E_PAGE_TIMEOUT when it took its
                children with it.
            TaskFault: E_DECODER_LOST, several pages in a row did.
            RetryableError: E_DECODER_START, E_MEMORY.
        """
        try:
            return self._decode_in(self._idle_or_new(), data, header, reduce)
        except DecoderLost as lost:
            if not lost.again:
                raise self._given_up(lost.fault) from lost
        try:
            return self._decode_in(self._new(), data, header, reduce)
        except DecoderLost as lost:
            raise self._given_up(lost.fault) from lost

    def close(self) -> None:
        """End the children that do nothing; the others end with this process. May be called twice."""
        while self._idle:
            self._idle.pop().close()

    def _decode_in(self, child: DecoderProcess, data: bytes, header: ImageHeader, reduce: int) -> Decoded:
        try:
            return child.decode(data, header, reduce)
        finally:
            if child.lives:
                self._lost_in_a_row = 0
                self._idle.append(child)

    def _idle_or_new(self) -> DecoderProcess:
        while True:
            try:
                child = self._idle.pop()
            except IndexError:
                return self._new()
            if child.lives:
                return child
            child.close()

    def _new(self) -> DecoderProcess:
        return DecoderProcess(self._program, self._seconds)

    def _given_up(self, fault: PageError) -> PageError | TaskFault:
        self._lost_in_a_row += 1
        if self._lost_in_a_row < MOST_LOST:
            return fault
        return TaskFault(
            f"The last {self._lost_in_a_row} pages ended their decoder processes. {fault.message}",
            code="E_DECODER_LOST",
            hint=fault.hint,
        )

"""One decoder process, seen from the worker."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict

from typing_extensions import override

from bec_orch.errors import PageError
from bec_orch.jobs.decoders.child_process import ChildProcess
from bec_orch.jobs.decoders.memory import SharedPage
from bec_orch.jobs.formats.header import Decoded, ImageHeader

PROGRAM = (sys.executable, "-P", "-m", "bec_orch.jobs.decoders.child")


class DecoderProcess(ChildProcess):
    """A child process that decodes one page after the other.

    Args:
        program: the command to run; the numbers of its socket and of the shared memory are appended.
        seconds: how long one page may take.

    Raises:
        RetryableError: no other process can be started (E_DECODER_START, or what this machine is short of).
    """

    def __init__(self, program: Sequence[str], seconds: float) -> None:
        with ExitStack() as undo:
            self._memory = undo.enter_context(closing(SharedPage()))
            super().__init__(program, seconds, self._memory.fileno())
            undo.pop_all()

    def decode(self, data: bytes, header: ImageHeader, reduce: int) -> Decoded:
        """Decode one page.

        Raises:
            PageError: what the decoder says of it.
            ChildLost: the process is gone.
            RetryableError: E_DECODER_START, it never got far enough to be asked; E_MEMORY.
        """
        self.wait_ready()
        room = header.decoded_bytes(reduce)
        self._memory.put(data, room)
        asked = {"header": asdict(header), "reduce": reduce, "room": room, "size": len(data)}
        answer = self.ask({**asked, "memory": self._memory.size})
        if "shape" not in answer:
            raise PageError(answer["message"], stage="decode", code=answer["code"], hint=answer.get("hint", ""))
        return Decoded(self._memory.pixels(answer["shape"]), answer.get("assumed", ""))

    @override
    def close(self) -> None:
        super().close()
        self._memory.close()

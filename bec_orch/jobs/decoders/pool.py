"""The decoder processes of a worker."""

from collections.abc import Sequence

from bec_orch.jobs.decoders.children import SECONDS, Children
from bec_orch.jobs.decoders.process import PROGRAM, DecoderProcess
from bec_orch.jobs.formats.header import Decoded, ImageHeader


class DecoderPool:
    """Decodes pages in child processes. Any thread may call it.

    Args:
        program: the command of a child.
        seconds: how long one page may take, by the clock.
    """

    def __init__(self, program: Sequence[str] = PROGRAM, seconds: float = SECONDS) -> None:
        self._children = Children(lambda: DecoderProcess(program, seconds))

    def decode(self, data: bytes, header: ImageHeader, reduce: int) -> Decoded:
        """Decode a page, shrunk to 1/`reduce`.

        Raises:
            PageError, TaskFault, RetryableError: see `Children.do`.
        """
        return self._children.do(lambda child: child.decode(data, header, reduce))

    def close(self) -> None:
        """End the children that do nothing; the others end with this process. May be called twice."""
        self._children.close()

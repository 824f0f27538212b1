"""Takes the rows of an attempt's pages, in any order, and hands them range by range to the part files.

`add` only notes the outcome; a thread of its own turns a full range into columns, writes and uploads it, so that
whoever computes pages never waits for it unless two ranges are behind.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow.compute as pc
from typing_extensions import override

from bec_orch.core.frames import COUNTER
from bec_orch.core.ports.job_worker import RowStore
from bec_orch.core.volumes import Manifest, PageCounts, PageOutcome, PageState
from bec_orch.errors import BecError
from bec_orch.io.artefacts.backlog import Backlog
from bec_orch.io.artefacts.parts import PartFiles, range_start

# Ranges that wait to be written; more would only take memory.
_BEHIND = 2
# Pages that are done are kept at the latest after this many seconds, full range or not.
_FLUSH_EVERY = 30.0


class PartRows(RowStore):
    """The rows of one attempt (a `RowStore`), with the sums over them."""

    def __init__(
        self,
        manifest: Manifest,
        parts: PartFiles,
        counted: Mapping[str, str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manifest = manifest
        self._parts = parts
        self._counted = counted
        self._clock = clock
        self._lock = threading.Lock()
        self._finished: set[int] = set()
        self._counts: Counter[PageState] = Counter()
        self._waiting: dict[int, list[PageOutcome]] = defaultdict(list)
        self._left = Counter(range_start(page.index) for page in manifest.pages)
        self._sums: dict[str, float] = dict.fromkeys(counted, 0)
        self._errors: Counter[str] = Counter()
        self._examples: dict[str, PageOutcome] = {}
        self._writing = Backlog(1, "parts")
        self._flushed_at = clock()
        self._resume()

    def _resume(self) -> None:
        for rows in self._parts.load(self._finished.__contains__):
            pages: list[Any] = rows.column("page").to_pylist()
            for page in dict.fromkeys(pages):
                self._note(page)
            self._counts += Counter(PageState.OK if ok else PageState.SKIPPED for ok in rows.column("ok").to_pylist())
            done = rows.filter(pc.field("ok"))
            for name, column in self._counted.items():
                self._sums[name] += pc.sum(done.column(column)).as_py() or 0

    def _note(self, page: int) -> None:
        self._finished.add(page)
        self._left[range_start(page)] -= 1

    @override
    def finished(self) -> frozenset[int]:
        with self._lock:
            return frozenset(self._finished)

    @override
    def add(self, outcome: PageOutcome) -> None:
        with self._lock:
            self._check_new(outcome.index)
            self._note(outcome.index)
            for each in outcome.every:
                self._count(each)
            start = range_start(outcome.index)
            self._waiting[start].append(outcome)
            if self._left[start] == 0:
                self._submit(start)
            elif self._clock() - self._flushed_at > _FLUSH_EVERY:
                self._submit_all()
        self._writing.settle(_BEHIND)

    def _check_new(self, page: int) -> None:
        if not 0 <= page < len(self._manifest.pages):
            raise BecError(f"The volume {self._manifest.volume} has no page with the index {page}.")
        if page in self._finished:
            raise BecError(f"The page '{self._manifest.pages[page].filename}' has a row already.")

    def _count(self, outcome: PageOutcome) -> None:
        self._counts[outcome.state] += 1
        if outcome.state is PageState.OK:
            for name, column in self._counted.items():
                self._sums[name] += outcome.row.get(column) or 0
        elif outcome.state is PageState.ERROR:
            code = outcome.error_type or BecError.default_code
            self._errors[code] += 1
            known = self._examples.setdefault(code, outcome)
            self._examples[code] = min(known, outcome, key=_place)

    def _submit_all(self) -> None:
        self._flushed_at = self._clock()
        for start in list(self._waiting):
            self._submit(start)

    def _submit(self, start: int) -> None:
        self._writing.submit(self._parts.write, self._waiting.pop(start))

    @override
    def flush(self) -> None:
        with self._lock:
            self._submit_all()
        self._writing.settle()

    @override
    def counts(self) -> PageCounts:
        with self._lock:
            found = self._counts
            return PageCounts(found[PageState.OK], found[PageState.SKIPPED], found[PageState.ERROR])

    def counters(self) -> dict[str, float]:
        """Return the sums of the counted columns over all rows that are ok, and how many pages have each error.

        Where files have several pictures, also how many rows are those of pictures after a file's first.
        """
        with self._lock:
            further = self._counts.total() - len(self._finished)
            return {**self._sums, **self._errors, **({COUNTER: further} if further else {})}

    def error_summary(self) -> tuple[str, PageOutcome] | None:
        """Return the commonest page error's code and the first page of the volume that has it; of two, the earlier one.

        Pages end in any order: the same pages give the same answer.
        """
        with self._lock:
            if not self._errors:
                return None
            code = min(self._errors, key=lambda code: (-self._errors[code], _place(self._examples[code])))
            return code, self._examples[code]

    def close(self) -> None:
        """End the writing of what is under way; rows of ranges that are not full are lost. May be called twice."""
        self._writing.close()


def _place(outcome: PageOutcome) -> tuple[int, int]:
    """Return where a picture stands in its volume."""
    return outcome.index, outcome.frame

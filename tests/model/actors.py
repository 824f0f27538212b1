"""Processes of a model: threads of which one runs at a time, and which wait before each call of a port for their fate.

So the program's own code is stopped, killed and interleaved at every step between it and the world.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bec_orch.errors import BecError, TaskFault, TerminalError

if TYPE_CHECKING:
    from bec_orch.core.life.lease import Lease


class Fate(StrEnum):
    """What becomes of the call before which an actor waits."""

    GO = "go"
    AWAY = "away"
    """Whom it calls is away: nothing is done."""
    LOST = "lost"
    """The call is done, its answer is lost."""
    KILLED = "killed"
    """The process dies before the call."""
    KILLED_AFTER = "killed after"
    FAULT = "fault"
    """The task misbehaves: charged. At the points in `BLAMES_TASK` only."""
    HOPELESS = "hopeless"
    """The volume cannot be done as it is. At the points in `BLAMES_TASK` only."""


PAGE = "page"
BLAMES_TASK = frozenset({PAGE, "source.read_manifest"})


class Killed(BaseException):
    """The end of a process that nobody catches: nothing of the program runs after it but the ends of `with` blocks."""


class Actor:
    """One process: it runs `work` up to the next call of a port, and waits there.

    `at` names the call before which it waits; None when it ended. `results` holds the last answer of each call.
    `fenced` is true while it holds its task's row, or believes so: `cut_off` tells that the server ended it.
    """

    def __init__(
        self, name: str, job: str, work: Callable[[], object], *, stop: Callable[[], None] | None = None
    ) -> None:
        self.name = name
        self.job = job
        self.at: str | None = None
        self.results: dict[str, Any] = {}
        self.fates: list[Fate] = []
        self.lease: Lease | None = None
        self.fenced = False
        self.cut_off = False
        self.error: BaseException | None = None
        self.stop = stop or (lambda: None)
        self._fate = Fate.GO
        self._go = threading.Semaphore(0)
        self._stands = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._thread.start()
        self._stands.acquire()

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to let go."""
        return self.at is None

    def let(self, fate: Fate) -> None:
        """Let it make its call with this fate, and go on up to the next one."""
        self.fates.append(fate)
        self._fate = fate
        self._go.release()
        self._stands.acquire()

    def kill(self) -> None:
        """End it where it stands, and wait for the end."""
        while not self.ended:
            self.let(Fate.KILLED)
        self._thread.join()

    def wait_at(self, point: str) -> Fate:
        """Wait before a call; returns its fate. Called in the actor's own thread."""
        self.at = point
        self._stands.release()
        self._go.acquire()
        return self._fate

    def _run(self, work: Callable[[], object]) -> None:
        _here.actor = self
        try:
            work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001  (whatever it is, the model tells it)
            self.error = error
        self.at = None
        self.lease = None
        self._stands.release()


_here = threading.local()


def current() -> Actor | None:
    """Return the actor whose thread this is; None in the model's own thread."""
    return getattr(_here, "actor", None)


def pass_gate(point: str, call: Callable[[], Any], away: Callable[[], BecError]) -> Any:
    """Make a call of a port with the fate that the model gives it."""
    actor = current()
    if actor is None:
        return call()
    fate = actor.wait_at(point)
    _meet_before(point, fate, away)
    answer = actor.results[point] = call()
    _meet_after(fate, away)
    return answer


def _meet_before(point: str, fate: Fate, away: Callable[[], BecError]) -> None:
    if fate is Fate.KILLED:
        raise Killed
    if fate is Fate.AWAY:
        raise away()
    if point in BLAMES_TASK and fate is Fate.FAULT:
        raise TaskFault("It hung.")
    if point in BLAMES_TASK and fate is Fate.HOPELESS:
        raise TerminalError("It cannot be done.", code="E_HOPELESS")


def _meet_after(fate: Fate, away: Callable[[], BecError]) -> None:
    if fate is Fate.KILLED_AFTER:
        raise Killed
    if fate is Fate.LOST:
        raise away()


class Gated:
    """A port whose named methods are gates, as `port.method`; everything else is the real one's.

    Args:
        port: its name.
        real: the port.
        away: makes the error that tells that it is away.
        methods: the gates.
        wraps: of a method's answer, what it is to be replaced by.
    """

    def __init__(
        self,
        port: str,
        real: Any,
        away: Callable[[], BecError],
        methods: frozenset[str],
        wraps: Callable[[Any], Any] = lambda answer: answer,
    ) -> None:
        self._port = port
        self._real = real
        self._away = away
        self._methods = methods
        self._wraps = wraps

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._real, name)
        if name not in self._methods:
            return real
        return lambda *args, **kwargs: pass_gate(
            f"{self._port}.{name}", lambda: self._wraps(real(*args, **kwargs)), self._away
        )


class GatedStore(Gated):
    """The task store, whose `fence` is held open over the calls in its block."""

    @contextmanager
    def fence(self, claim: Any, lease: float) -> Iterator[None]:
        """As the port says; the gate stands before it, and a lost answer is that of its own commit."""
        actor = current()
        if actor is None:
            with self._real.fence(claim, lease):
                yield
            return
        fate = actor.wait_at("store.fence")
        _meet_before("store.fence", fate, self._away)
        with self._real.fence(claim, lease):
            actor.fenced, actor.cut_off = True, False
            try:
                yield
            finally:
                actor.fenced = False
        _meet_after(fate, self._away)

"""The one tree of errors. Each error has a stable code, one sentence that names the object, and what to do.

    BecError
    ├── UsageError          the command line asked for something that cannot be (exit 2)
    │   └── ConfigError     a setting, a job config or a model folder is wrong (exit 2)
    ├── RetryableError      a fault of network, credentials, GPU, memory or disk: never final, never a page error
    │   ├── TaskFault           the task itself misbehaved: tried again, but charged to its `max_attempts`
    │   │   └── VolumeStalled       no page of it was finished for too long
    │   ├── ServerBusy          a server takes no more requests just now, and may say when it does again
    │   ├── StorageError        an object store did not do what it was asked
    │   ├── DatabaseError       the database is away, or refused for a passing reason
    │   │   └── DatabaseRefused     it refused for a reason that somebody must see to
    │   ├── QueueError          the queue is away, or refused for a passing reason
    │   │   ├── QueueRefused        it refused for a reason that somebody must see to
    │   │   └── PartlySent          it took some of the messages before
    │   └── DiskFullError       no room for the files of this attempt
    ├── TerminalError       trying this task again cannot help
    │   ├── ManifestError       the volume's list of pages is missing, broken or hostile
    │   │   └── ManifestMissing     there is none: believed when the next attempt does not find it either
    │   ├── PlaceTaken          what lies where the artefact is to go is not to be replaced
    │   ├── PagesFailed         more pages of the volume are errors than its job allows
    │   ├── DependencyFailed    what it needs failed for good, or nobody makes it: it fails with it
    │   ├── ServerRefused       a server of others refuses what it is asked for, whoever asks again
    │   ├── NotAFile            where a file should be lies a pipe, a device, a socket or a folder
    │   └── NameUnsafeError     a name would leave its folder or prefix
    ├── PageError           one page cannot be done: becomes that page's row
    ├── ReceiptExpired      a queue message is no longer ours to hide or delete
    ├── Superseded          the volume has a newer version: this task is canceled, and a new one is queued
    ├── LeaseLost           the attempt was superseded: nothing may be committed
    └── Interrupted         a stop was asked for: the finished pages are kept

The class says whether to try again (`retryable`), and whether that costs the task one of its attempts (`charged`),
never the words of a message. Errors of drivers are wrapped once, at the edge (`bec_orch.io`), with the cause kept.
"""

import errno
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import ClassVar

# What the operating system says where there is no room left: on the disk, in the quota, within the largest file.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FREE_SPACE = "Free space, then run the same command again: what was finished is kept."
# What it says where a disk or a share is away: it may be mounted again in a moment.
AWAY = frozenset(
    {
        errno.EIO,
        errno.ENXIO,
        errno.ENODEV,
        errno.ESTALE,
        errno.ENOTCONN,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ETIMEDOUT,
    }
)
# Codes of what is not where it should be: one volume may lack it; when many do, the store is away.
NOT_THERE = frozenset(
    {"E_MANIFEST_MISSING", "E_MANIFEST_EMPTY", "E_PAGE_MISSING", "E_STORAGE_MISSING", "E_STORAGE_EMPTY"}
)

# Codes of an artefact that is lost though its store is there.
LOST_ARTEFACT = frozenset({"E_ARTEFACT_BROKEN", "E_ARTEFACT_GONE"})


class BecError(Exception):
    """Base of all errors of this program.

    Args:
        message: one sentence that names the object.
        code: stable name of the failure, `E_...`; the class has a default.
        hint: what to do about it, one sentence, or empty.
    """

    default_code: ClassVar[str] = "E_INTERNAL"
    retryable: ClassVar[bool] = False
    charged: ClassVar[bool] = True

    def __init__(self, message: str, *, code: str | None = None, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(BecError):
    """The command line asked for something that cannot be done as asked."""

    default_code = "E_USAGE"


class ConfigError(UsageError):
    """A setting, a job config or a model folder is wrong.

    Met by a worker in the middle of its work, it is a fault of that worker's machine, and final for no task.
    """

    default_code = "E_CONFIG"
    retryable = True
    charged = False


class RetryableError(BecError):
    """A passing fault outside of the task: tried again after a backoff, and never a page error."""

    default_code = "E_RETRYABLE"
    retryable = True
    charged = False


class TaskFault(RetryableError):
    """The task itself misbehaved (hung, ate the memory): tried again, but only `max_attempts` times."""

    default_code = "E_TASK_FAULT"
    charged = True


class VolumeStalled(TaskFault):
    """No page of a volume was finished for so long that its worker is ended.

    Args:
        volume: the volume, for a person.
        pages: the indices of the pages that were in work.
        seconds: how long nothing moved.
    """

    default_code = "E_VOLUME_STALLED"

    def __init__(self, volume: str, pages: Sequence[int], seconds: float) -> None:
        where = f"it hangs at page {', '.join(str(page + 1) for page in pages)}" if pages else "no page is in work"
        super().__init__(
            f"No page of {volume} was finished for {seconds:g} s: {where}.",
            hint="The attempt is charged, and the volume tried again; a page that hangs each time is left out.",
        )


class ServerBusy(RetryableError):
    """A server takes no more requests just now (status 429 or 503).

    Args:
        message: one sentence that names the server.
        retry_after: seconds after which it may be asked again, as it said (RFC 9110, section 10.2.3); None: it did not.
    """

    default_code = "E_SERVER_BUSY"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message, hint="Fewer requests at once, or more of the server, make this rare.")
        self.retry_after = retry_after


class StorageError(RetryableError):
    """An object store or folder did not do what it was asked."""

    default_code = "E_STORAGE"


class DatabaseError(RetryableError):
    """The database is away, or refused for a passing reason."""

    default_code = "E_DATABASE"


class DatabaseRefused(DatabaseError):
    """The database answered, and will say the same again until somebody sees to it: rights, password, schema."""

    default_code = "E_DB_REFUSED"


class QueueError(RetryableError):
    """The queue is away, or refused for a passing reason."""

    default_code = "E_QUEUE"


class QueueRefused(QueueError):
    """The queue's service answered, and will say the same until somebody sees to it: rights, credentials, no queue."""

    default_code = "E_QUEUE_REFUSED"


class PartlySent(QueueError):
    """The queue failed in the middle of sending; `sent` are the positions of the messages that it took before."""

    def __init__(self, message: str, *, sent: Sequence[int], code: str | None = None, hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.sent = tuple(sent)


class DiskFullError(RetryableError):
    """There is no room for the files of this attempt."""

    default_code = "E_DISK_FULL"


class TerminalError(BecError):
    """Trying this task again cannot help."""

    default_code = "E_TERMINAL"


class PlaceTaken(TerminalError):
    """What lies where an artefact is to go is somebody else's, or kept by the store: it is not replaced."""

    default_code = "E_ARTEFACT_FOREIGN"
    charged = False


class PagesFailed(TerminalError):
    """More pages of a volume are errors than its job allows: it gets no artefact.

    Args:
        message, code, hint: as every error has them; the code is that of the commonest page error.
        pages: how many pages are in which state of the ledger, by its name.
        counters: the job's own sums, and how many pages have each error.
    """

    def __init__(
        self, message: str, *, code: str, hint: str, pages: Mapping[str, int], counters: Mapping[str, float]
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.pages = pages
        self.counters = counters


class DependencyFailed(TerminalError):
    """What the task needs and may not go without is missing, and nobody is to make it."""

    default_code = "E_DEPENDENCY_FAILED"
    charged = False


class ServerRefused(TerminalError):
    """A server of others refuses what it is asked for; or an address may not be asked, because of where it leads."""

    default_code = "E_SERVER_REFUSED"


class NotAFile(TerminalError):
    """Where a file should be lies something that cannot be read as one: it might never end, or never begin.

    Args:
        where: its key and store, or its path.
        what: a named pipe, a device, a socket or a folder.
    """

    default_code = "E_NOT_A_FILE"

    def __init__(self, where: str, what: str) -> None:
        super().__init__(f"{where} is {what}, not a file.", hint="Move it away, then run the same command again.")
        self.what = what


class ManifestError(TerminalError):
    """The volume's list of pages is missing, broken or hostile."""

    default_code = "E_MANIFEST"


class ManifestMissing(ManifestError):
    """Nothing is where the volume's list of pages should be, in a source that was seen to be there.

    A store that is away for a moment looks the same, so the heart believes it when the next attempt says so, too.
    """

    default_code = "E_MANIFEST_MISSING"


class NameUnsafeError(TerminalError):
    """A name from outside would leave its folder or prefix, or cannot be a name."""

    default_code = "E_NAME_UNSAFE"


class PageError(BecError):
    """One page cannot be done; it becomes that page's row, and the other pages go on.

    Args:
        message: one sentence that names the page or its fault.
        stage: `fetch`, `decode`, `infer`, `finish` or `time`.
        code: stable name of the failure, `E_PAGE_...` or `E_IMAGE_...`.
        hint: what to do about it, or empty.
    """

    default_code = "E_PAGE"

    def __init__(self, message: str, *, stage: str, code: str | None = None, hint: str = "") -> None:
        super().__init__(message, code=code, hint=hint)
        self.stage = stage


class ReceiptExpired(BecError):
    """A queue message was received again by somebody else, or is gone: this receipt is no longer valid."""

    default_code = "E_RECEIPT_EXPIRED"


class Superseded(BecError):
    """The volume's manifest changed: the task was canceled, and a new one is queued for the current version."""

    default_code = "E_SUPERSEDED"


class LeaseLost(BecError):
    """The attempt was superseded, or could not be kept: nothing of it may be committed."""

    default_code = "E_LEASE_LOST"


class Interrupted(BecError):
    """A stop was asked for; the finished pages are kept, and the attempt is not charged to the task."""

    default_code = "E_INTERRUPTED"


def extra_hint(extra: str, package: str = "bec-orch") -> str:
    """Say how to install what an extra of a package brings: from where the package itself came, as no index has it."""
    return (
        f"Install {package} with its extra `{extra}`: `pip install 'WHEEL[{extra}]'` with the file of its wheel, or "
        f"`pip install '.[{extra}]'` in its checkout."
    )


# Paths, URLs, and numbers of any base: digests, ETags and addresses are words of hex digits with a number among them.
_PATHS = re.compile(r"(?:[a-z0-9]+:/)?/[^\s'\",;]*")
_NUMBERS = re.compile(r"0x[0-9a-f]+|\b(?=[a-f]*[0-9])[0-9a-f]{6,}\b|[0-9]+", re.IGNORECASE)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`")


def fingerprint(code: str, stage: str, message: str) -> str:
    """Name a failure by what is the same each time it happens: 12 hex digits of a SHA-256.

    Quoted names, paths and numbers are taken out of the message, so that the same fault on two volumes is one group.
    """
    pattern = _NUMBERS.sub("0", _PATHS.sub("/", _QUOTED.sub("''", message)))
    return hashlib.sha256(f"{code}\n{stage}\n{pattern}".encode()).hexdigest()[:12]

"""Errors of obstore and of the file system, translated once, by class and by error number.

    not there                          None or False: it is an answer, not an error (`bec_orch.io.stores.objects`)
    no room (ENOSPC, EDQUOT, EFBIG)    DiskFullError
    no right (403, 401, EACCES, ...)   StorageError, E_STORAGE_DENIED
    no bucket, no root folder          StorageError, E_STORAGE_MISSING
    a file in place of a folder        StorageError, E_STORAGE_NO_FOLDER
    nothing at all in it               StorageError, E_STORAGE_EMPTY (only where something is missed)
    credentials that ran out           StorageError, E_STORAGE_CREDENTIALS
    a bucket of another region         StorageError, E_STORAGE_REGION
    S3 is asked too often              StorageError, E_STORAGE_BUSY
    a key that cannot be               NameUnsafeError
    all else                           StorageError, E_STORAGE

The codes with a name of their own last, but for the busy store: they are not tried again at once, only with the task.
"""

import contextlib
import errno
import re
from collections.abc import Iterator

from obstore.exceptions import BaseError, InvalidPathError, PermissionDeniedError, UnauthenticatedError

from bec_orch.core.wording import clause
from bec_orch.errors import FREE_SPACE, NO_ROOM, BecError, DiskFullError, NameUnsafeError, StorageError

DENIED = "E_STORAGE_DENIED"
_NO_RIGHT = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# The second is what making a folder says; to make a file that is there is an answer, and comes here never.
_IN_PLACE_OF_A_FOLDER = frozenset({errno.ENOTDIR, errno.EEXIST})
# Rust prints each error of the operating system with its number, and obstore hands on nothing else of it.
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_DURATION = re.compile(r" in [\d.]+(ns|µs|ms|s)\b")
# S3 puts its error code in the body of the answer, which obstore hands on as it is, or puts into words (deletions).
_S3_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
_S3_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")
_S3_BODY = re.compile(r"<(?:\?xml|Error)\b.*", re.DOTALL)
_PLACES = ("E_STORAGE_MISSING", "E_STORAGE_EMPTY", "E_STORAGE_NO_FOLDER")
_LASTING = frozenset({DENIED, *_PLACES, "E_STORAGE_CREDENTIALS", "E_STORAGE_REGION"})

_CREDENTIALS = (
    "the credentials are not valid, or no longer",
    "E_STORAGE_CREDENTIALS",
    "Give this machine an instance role, or fresh values in AWS_ACCESS_KEY_ID and its like.",
)
_REGION = ("the bucket is in another region", "E_STORAGE_REGION", "Set BEC_REGION to the region of the bucket.")
_NO_FOLDER = ("a file is in place of a folder", "E_STORAGE_NO_FOLDER", "Move it away, then run the same command again.")
_BUSY = ("the store is asked too often", "E_STORAGE_BUSY", "Tried again with growing pauses; or run fewer workers.")
_BY_S3_CODE = {
    "AuthorizationHeaderMalformed": _REGION,
    "ExpiredToken": _CREDENTIALS,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "NoSuchBucket": ("there is no such bucket", "E_STORAGE_MISSING", "Check the name of the bucket."),
    "PermanentRedirect": _REGION,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "SlowDown": _BUSY,
    "TokenRefreshRequired": _CREDENTIALS,
}


@contextlib.contextmanager
def store_errors(action: str, right: str = "") -> Iterator[None]:
    """Translate what obstore raises in the block.

    Args:
        action: what is tried, to follow "Could not".
        right: the IAM action that S3 asks for it.
    """
    try:
        yield
    except (BaseError, OSError, ValueError) as error:
        raise _translated(error, action, right) from error


@contextlib.contextmanager
def file_errors(action: str) -> Iterator[None]:
    """Translate what the operating system says of a file or folder in the block; `action` as in `store_errors`."""
    try:
        yield
    except (OSError, ValueError) as error:
        raise _translated(error, action, "") from error


def _translated(error: Exception, action: str, right: str) -> BecError:
    number = _os_error(error)
    sentence = f"Could not {action}"
    if number in NO_ROOM:
        return DiskFullError(f"{sentence}: there is no room left.", hint=FREE_SPACE)
    refused = _CREDENTIALS if isinstance(error, UnauthenticatedError) else _BY_S3_CODE.get(s3_code(error))
    known = _NO_FOLDER if number in _IN_PLACE_OF_A_FOLDER else refused
    if known:
        return StorageError(f"{sentence}: {known[0]}.", code=known[1], hint=known[2])
    if number in _NO_RIGHT:
        hint = "Check the owner and the rights of the folder."
        return StorageError(f"{sentence}: this is not allowed.", code=DENIED, hint=hint)
    if isinstance(error, PermissionDeniedError) or s3_code(error) == "AccessDenied":
        return StorageError(
            f"{sentence}: the permission {right} is missing.",
            code=DENIED,
            hint=f"Allow {right} on the bucket to this machine's role or user; look at the bucket's own policy, too.",
        )
    if isinstance(error, (InvalidPathError, ValueError)):
        return NameUnsafeError(f"{sentence}: {_first_line(error)}.")
    return StorageError(
        f"{sentence}: {_first_line(error)}.",
        hint="Check that the store can be reached, and its region, then try again.",
    )


def s3_code(error: Exception) -> str:
    """Return the error code that S3 gave, empty when it gave none."""
    found = _S3_CODE.search(str(error))
    return (found[1] or found[2]) if found else ""


def _os_error(error: Exception) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = _OS_ERROR.search(str(error))
    return int(found[1]) if found else None


def _first_line(error: Exception) -> str:
    """Return what an error says in one line; of S3's answer code and message alone: the rest repeats what was sent."""
    text = str(error)
    code, message = s3_code(error), _S3_MESSAGE.search(text)
    told = f"{code}: {message[1]}" if code and message else code
    text = _S3_BODY.sub(lambda _: told, text) if code else text
    # How long it took would make two faults of one.
    return clause(_DURATION.sub("", text)) or type(error).__name__


def empty_store(url: str) -> StorageError:
    """Return the error of a store that lacks what was looked for, and everything else."""
    return StorageError(
        f"There is nothing at {url}.",
        code="E_STORAGE_EMPTY",
        hint="Check that the disk is mounted, or the bucket's name. If it was emptied on purpose, put any file there.",
    )


def replaced_store(url: str) -> StorageError:
    """Return the error of a root folder in whose place another one is."""
    return StorageError(
        f"The folder at {url} is not the one that was opened.",
        code="E_STORAGE_MISSING",
        hint="Check that the disk is mounted. If the folder was replaced on purpose, start the worker again.",
    )


def missing_store(url: str) -> StorageError:
    """Return the error of a bucket or root folder that is not there."""
    return StorageError(
        f"There is no store at {url}.",
        code="E_STORAGE_MISSING",
        hint="Check the bucket's name, or that the disk is mounted.",
    )


def is_passing(error: Exception) -> bool:
    """Return whether a store's fault may be gone in a moment."""
    return isinstance(error, StorageError) and error.code not in _LASTING

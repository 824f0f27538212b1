"""What an EC2 machine knows of itself: the instance metadata service, version 2. Absent elsewhere, without delay.

Paths and answers: "Instance metadata and user data" of the Amazon EC2 User Guide; the target lifecycle state: the
Amazon EC2 Auto Scaling User Guide.
"""

import http.client
import logging
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import stamina
from typing_extensions import override

from bec_orch.core.life.companion import Companion
from bec_orch.core.life.stop import StopReason
from bec_orch.core.wording import named
from bec_orch.errors import RetryableError

logger = logging.getLogger(__name__)

ADDRESS = "http://169.254.169.254"
_FIRMWARE = Path("/sys/devices/virtual/dmi/id")
_TOKEN_SECONDS = 21600
_ASKED_AGAIN = stamina.RetryingCaller(attempts=3, timeout=None, wait_initial=0.2, wait_max=1.0)


@dataclass(frozen=True, slots=True)
class Ec2Machine:
    """This machine as EC2 knows it. `lifecycle` is `spot` or `on-demand`."""

    instance_id: str
    instance_type: str
    lifecycle: str
    zone: str


class Notice(StrEnum):
    """Why the machine will soon be gone: EC2 takes it back, is likely to, or its group does not need it any more."""

    SPOT = "spot"
    REBALANCE = "rebalance"
    SCALE_IN = "scale_in"


_PATHS = {
    Notice.SPOT: "meta-data/spot/instance-action",
    Notice.REBALANCE: "meta-data/events/recommendations/rebalance",
    Notice.SCALE_IN: "meta-data/autoscaling/target-lifecycle-state",
}


class InstanceMetadata:
    """Reads the metadata service. Used by one thread at a time.

    Args:
        endpoint: its address, `http://host[:port]`.
        timeout: seconds for one request; the service is on the machine's own hypervisor and answers in milliseconds.
    """

    def __init__(self, endpoint: str = ADDRESS, timeout: float = 1.0) -> None:
        self._address = urlsplit(endpoint)
        self._timeout = timeout
        self._token = ""  # nosec B105  # (there is none yet)

    def read(self, path: str) -> str | None:
        """Return what stands at `/latest/{path}`; None when there is no such thing.

        Raises:
            RetryableError: the service gives no answer, or one that makes no sense (E_IMDS).
        """
        status, body = self._get(path)
        if status == http.client.UNAUTHORIZED:
            self._token = ""  # nosec B105  # (there is none yet)
            status, body = self._get(path)
        if status == http.client.NOT_FOUND:
            return None
        if status != http.client.OK:
            raise _away(f"it answered {status} for {path}")
        return body

    def machine(self) -> Ec2Machine:
        """Return which machine this is.

        Raises:
            RetryableError: the service does not say (E_IMDS).
        """
        return Ec2Machine(
            instance_id=self._required("meta-data/instance-id"),
            instance_type=self._required("meta-data/instance-type"),
            lifecycle=self._required("meta-data/instance-life-cycle"),
            zone=self._required("meta-data/placement/availability-zone"),
        )

    def notice(self) -> Notice | None:
        """Return whether the machine will soon be gone, and why.

        Raises:
            RetryableError: the service gives no answer (E_IMDS).
        """
        for notice, path in _PATHS.items():
            found = self.read(path)
            if found and (notice is not Notice.SCALE_IN or found.strip() == "Terminated"):
                return notice
        return None

    def _required(self, path: str) -> str:
        found = self.read(path)
        if not found:
            raise _away(f"it has no {path}")
        return found.strip()

    def _get(self, path: str) -> tuple[int, str]:
        if not self._token:
            status, token = self._request(
                "PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)}
            )
            if status != http.client.OK:
                raise _away(f"it gave no token, but {status}")
            self._token = token
        return self._request("GET", path, {"X-aws-ec2-metadata-token": self._token})

    def _request(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        # No library that honours proxies: the address is the machine's own, and a proxy would answer for another one.
        connection = http.client.HTTPConnection(self._address.netloc, timeout=self._timeout)
        with metadata_errors(), closing(connection):
            connection.request(method, f"/latest/{path}", headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


@contextmanager
def metadata_errors() -> Iterator[None]:
    """Raise whatever keeps the service from answering in the block as a `RetryableError`, its cause kept."""
    try:
        yield
    except (OSError, http.client.HTTPException, UnicodeDecodeError) as error:
        raise _away(named(error)) from error


def metadata_of_this_machine(endpoint: str | None = None, firmware: Path = _FIRMWARE) -> InstanceMetadata | None:
    """Open the metadata service of this machine; None when this is not an EC2 machine, as its firmware says at once.

    Args:
        endpoint: another address; the firmware is not asked then.
        firmware: where Linux shows what the firmware says of itself.
    """
    if endpoint:
        return InstanceMetadata(endpoint)
    return InstanceMetadata() if _is_ec2(firmware) else None


def known_machine(metadata: InstanceMetadata | None) -> Ec2Machine | None:
    """Return which machine this is; None outside of EC2, or when it cannot be found out, which is logged."""
    try:
        # What is missed here is missed as long as the worker lives: its costs, and what people look for it by.
        return _ASKED_AGAIN(RetryableError, metadata.machine) if metadata else None
    except RetryableError as error:
        logger.warning("machine.unknown", extra={"code": error.code, "why": error.message})
        return None


class NoticeWatcher(Companion):
    """The thread that looks for notices, as a context manager.

    The first notice is handed on, and no other: a second request to stop would take the worker's grace away.

    Args:
        metadata: the service to ask; None outside of EC2, where nothing is watched.
        on_notice: is called once, from the watcher's thread, with the notice as the reason to stop.
        every: seconds between two looks. AWS advises 5: a spot machine has two minutes from its notice.
    """

    def __init__(
        self, metadata: InstanceMetadata | None, on_notice: Callable[[StopReason], None], every: float = 5.0
    ) -> None:
        super().__init__("notice-watcher")
        self._metadata = metadata
        self._on_notice = on_notice
        self._every = every

    @override
    def _accompany(self) -> None:
        while self._metadata and not self._closed.is_set():
            notice = _look(self._metadata)
            if notice:
                logger.warning("machine.notice", extra={"notice": notice.value})
                self._on_notice(StopReason(notice))
                return
            self._closed.wait(self._every)


def _look(metadata: InstanceMetadata) -> Notice | None:
    try:
        return metadata.notice()
    except RetryableError as error:
        logger.warning("machine.notices_unknown", extra={"code": error.code, "why": error.message})
        return None


def _is_ec2(firmware: Path) -> bool:
    # Nitro machines say it as their vendor, older ones (Xen) in the version of their firmware.
    return _text(firmware / "sys_vendor") == "Amazon EC2" or _text(firmware / "bios_version").endswith(".amazon")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


def _away(why: str) -> RetryableError:
    return RetryableError(
        f"The instance metadata service failed: {why}.",
        code="E_IMDS",
        hint="Check that the machine's metadata service is on; a worker in a container needs a hop limit of 2.",
    )

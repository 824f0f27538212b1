"""Object stores by URL: `file:///folder`, `s3://bucket/prefix`, and `memory://name` for tests and tries."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from obstore.store import MemoryStore, S3Store

from bec_orch.core.store_urls import split_store_url
from bec_orch.io.stores.credentials import sdk_credentials
from bec_orch.io.stores.folders import FolderObjects
from bec_orch.io.stores.objects import Objects, Retries

if TYPE_CHECKING:
    from obstore.store import RetryConfig

# Over S3 a passing fault (`SlowDown`, a connection that breaks) may last: some 15 s in all, with jitter. obstore's own
# retries are off, because two nested loops would ask a busy store far too often. What remains is the task's.
S3_RETRIES = Retries(attempts=7)
_NO_RETRIES: "RetryConfig" = {"max_retries": 0}


@dataclass(frozen=True, slots=True)
class S3Options:
    """Where S3 is when it is not AWS, and the region. Credentials come from where the AWS SDKs look for them.

    `requester_pays` are buckets whose requests we agree to pay for; `anonymous` are public ones that are asked without
    credentials, as who has none must.
    """

    endpoint_url: str | None = None
    region: str | None = None
    requester_pays: frozenset[str] = frozenset()
    anonymous: frozenset[str] = frozenset()


class Stores:
    """Opens object stores by URL, each once. May be used by all threads.

    Args:
        s3: how S3 is asked.
        retries: how often a store is asked again.
        follow_links: whether links in folders are followed wherever they lead.
        links_below: a folder to which links are followed, in stores that hold it; else the store's own folder is that.
    """

    def __init__(
        self,
        s3: S3Options | None = None,
        retries: Retries | None = None,
        *,
        follow_links: bool = False,
        links_below: Path | None = None,
    ) -> None:
        self._s3 = s3 or S3Options()
        self._retries = retries
        self._follow_links = follow_links
        self._links_below = links_below
        self._open: dict[str, Objects] = {}
        self._lock = threading.Lock()

    def open(self, url: str, *, create: bool = False) -> Objects:
        """Open the store of a URL; `create` makes a missing folder.

        Raises:
            ConfigError: the URL is of no kind that is known (E_STORAGE_URL).
            StorageError: there is no such folder, or it cannot be made.
        """
        with self._lock:
            if url not in self._open:
                self._open[url] = self._opened(url, create=create)
            return self._open[url]

    def _opened(self, url: str, *, create: bool) -> Objects:
        scheme = split_store_url(url).scheme
        if scheme == "file":
            root, below = path_of(url), self._links_below
            return FolderObjects(
                root,
                self._retries,
                create=create,
                follow_links=self._follow_links,
                links_below=below if below and below.is_relative_to(root) else None,
            )
        if scheme == "s3":
            return Objects(self._s3_store(url), url, self._retries or S3_RETRIES)
        return Objects(MemoryStore(), url, self._retries)

    def _s3_store(self, url: str) -> S3Store:
        parts = urlsplit(url)
        anonymous = parts.netloc in self._s3.anonymous
        settings: dict[str, Any] = {
            "region": self._s3.region,
            "endpoint": self._s3.endpoint_url,
            "request_payer": parts.netloc in self._s3.requester_pays,
            "skip_signature": anonymous,
            # Buckets with a default retention take nothing without a checksum.
            "checksum_algorithm": "SHA256",
            "credential_provider": None if anonymous else sdk_credentials(),
        }
        plain_http = (self._s3.endpoint_url or "").startswith("http://")
        return S3Store(
            parts.netloc,
            prefix=unquote(parts.path).strip("/") or None,
            client_options={"timeout": "60s", "connect_timeout": "10s", "allow_http": plain_http},
            retry_config=_NO_RETRIES,
            **{name: value for name, value in settings.items() if value},
        )


def is_there(path: Path) -> bool:
    """Return whether something lies at a path of this machine; nothing does where a name is too long for any file."""
    return os.path.exists(path)  # noqa: PTH110  (`Path.exists` raises an error there)


def path_of(url: str) -> Path:
    """Return the folder of a `file://` URL.

    Raises:
        ConfigError: it is not the URL of a store (E_STORAGE_URL).
    """
    return Path(unquote(split_store_url(url).path, errors="surrogateescape"))

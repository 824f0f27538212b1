"""Local files of models (a `ModelStore`): paths as they are, other URLs fetched once into a cache and checked.

A URL names one object, or a prefix with a few of them (`s3://bucket/models/lines`). What is fetched lies under

    {cache}/{digest of the URL and of the listing's names, sizes and ETags}/{names as in the store}
                                                                           /.digests.json

and comes there by one rename, so two processes may fetch the same model at once. Each time a model is asked for, the
store is asked whether it changed, and each file is checked against the SHA-256 that was noted when it was fetched.
"""

import hashlib
import json
import logging
import shutil
import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from bec_orch.core.names import check_name
from bec_orch.core.ports.job_worker import ModelStore
from bec_orch.errors import ConfigError, StorageError
from bec_orch.io.stores.checksums import sha256_of
from bec_orch.io.stores.errors import file_errors
from bec_orch.io.stores.objects import Entry, Objects
from bec_orch.io.stores.storage import Stores, is_there, path_of

# A model is an ONNX file, its config and its charset: a prefix with more is something else, perhaps a whole archive.
_MAX_FILES = 32
# Files are fetched whole; an ONNX file has less than 2 GiB.
_MAX_BYTES = 4 * 2**30
_DIGESTS = ".digests.json"

log = logging.getLogger(__name__)


class CachedModels(ModelStore):
    """Finds local paths of models by path or URL; fetched ones lie in `cache_dir`."""

    def __init__(self, stores: Stores, cache_dir: Path) -> None:
        self._stores = stores
        self._cache_dir = cache_dir

    @override
    def local_path(self, url: str) -> Path:
        scheme = urlsplit(url).scheme
        if scheme in {"", "file"} or "://" not in url:
            return _local(path_of(url) if scheme == "file" else Path(url).expanduser(), url)
        objects, key = self._opened(url)
        entries = _require_size(_listed(objects, key, url), url)
        folder = self._cache_dir / _digest(url, entries)
        if not _is_intact(folder):
            self._fetch(objects, entries, folder)
        return folder / entries[0].name if entries[0].key == key else folder

    def _opened(self, url: str) -> tuple[Objects, str]:
        """Open the bucket, and return the model's key in it, too."""
        parts = urlsplit(url)
        key = unquote(parts.path).strip("/")
        if not key:
            raise _nothing(url)
        return self._stores.open(f"{parts.scheme}://{parts.netloc}"), key

    def _fetch(self, objects: Objects, entries: list[Entry], folder: Path) -> None:
        log.info("model_fetched", extra={"store": objects.url, "folder": str(folder)})
        with file_errors(f"keep a model in {self._cache_dir}"):
            self._cache_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix="fetch-", dir=self._cache_dir) as scratch:
                whole = Path(scratch) / "model"
                whole.mkdir()
                digests = {entry.name: _fetched(objects, entry, whole) for entry in entries}
                (whole / _DIGESTS).write_text(json.dumps(digests, indent=1))
                _put_in_place(whole, folder)


def _put_in_place(whole: Path, folder: Path) -> None:
    """Rename a fetched model to its place; one that another process put there meanwhile is as good."""
    if not _is_intact(folder):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        whole.rename(folder)
    except OSError:
        if not _is_intact(folder):
            raise


def _fetched(objects: Objects, entry: Entry, folder: Path) -> str:
    blob = objects.read(entry.key)
    if blob is None or (blob.size, blob.etag) != (entry.size, entry.etag):
        raise StorageError(f"The model file '{entry.key}' in {objects.url} changed while it was fetched.")
    path = folder / check_name("model file", entry.name)
    path.write_bytes(blob.data)
    return hashlib.sha256(blob.data).hexdigest()


def _listed(objects: Objects, key: str, url: str) -> list[Entry]:
    single = objects.head(key)
    if single:
        return [single]
    found = list(objects.list(key).objects)
    if not found:
        raise _nothing(url)
    if len(found) > _MAX_FILES:
        raise ConfigError(
            f"The prefix {url} holds {len(found)} objects: that is not a model.",
            code="E_MODEL_NOT_FOUND",
            hint="Name the model's own folder.",
        )
    return found


def _require_size(entries: list[Entry], url: str) -> list[Entry]:
    size = sum(entry.size for entry in entries)
    if size > _MAX_BYTES:
        raise ConfigError(
            f"The model at {url} has {size} bytes, and {_MAX_BYTES} are allowed.",
            code="E_MODEL_INVALID",
            hint="Name the model's own folder, with nothing else in it.",
        )
    return entries


def _digest(url: str, entries: list[Entry]) -> str:
    values = [url.rstrip("/"), [[entry.name, entry.size, entry.etag] for entry in entries]]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:24]


def _is_intact(folder: Path) -> bool:
    try:
        digests = json.loads((folder / _DIGESTS).read_text())
        return bool(digests) and all(sha256_of(folder / name) == digest for name, digest in digests.items())
    except (OSError, ValueError, AttributeError):
        return False


def _local(path: Path, url: str) -> Path:
    if not is_there(path):
        raise _nothing(url)
    return path


def _nothing(url: str) -> ConfigError:
    return ConfigError(
        f"There is no model at {url}.", code="E_MODEL_NOT_FOUND", hint="Give a folder or file, or s3://bucket/folder."
    )

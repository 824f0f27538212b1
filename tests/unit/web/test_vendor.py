"""What others made is packed as it was, each with its licence, and nothing else is."""

import hashlib
import re
from pathlib import Path

from bec_orch.web.html.rendering import STATIC

VENDOR = STATIC / "vendor"
DIGESTS = {
    "htmx-sse/LICENSE": "a17d224ce9afdc21ec9491b76a2f5d036d19aa641ac4f85ca29c21f9f7e54fdf",
    "htmx-sse/sse.min.js": "98a46496de0c3605fbffdce9167ba427bdd9553184f83f149c261891a92c0136",
    "htmx/LICENSE": "d3d2456f76414f2456104660ebd65aff1c04cd7966b942bdabd63f3cdb316a38",
    "htmx/htmx.min.js": "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717",
    "noto-serif-tibetan/LICENSE": "0f2ce09ed114c2710b5d8f8f457ab9485452b003554a130005b59c6f4347a53e",
    "noto-serif-tibetan/noto-serif-tibetan.woff2": "1b09177a35aff7471e871f52efad0a0432f57bd72c0cfb0ed06bfef46f349fe8",
    "openseadragon/LICENSE": "17da96b26ac706d2cbd06d4555dedb43026782f4943faf0156fe7acf89454228",
    "openseadragon/openseadragon.min.js": "14d587cd3ee7c4861f1a41077ce642029364a21029956ba635bd8fb1202cf9ad",
    "uplot/LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    "uplot/uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uplot/uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_what_others_made_is_as_it_was() -> None:
    files = {str(file.relative_to(VENDOR)): digest(file) for file in VENDOR.glob("*/*")}
    assert files == DIGESTS


def test_each_folder_has_its_licence_and_is_documented() -> None:
    folders = {folder.name for folder in VENDOR.iterdir() if folder.is_dir()}
    assert all((VENDOR / folder / "LICENSE").is_file() for folder in folders)
    assert set(re.findall(r"^\| `([\w-]+)` \|", (VENDOR / "README.md").read_text("utf-8"), re.MULTILINE)) == folders


def test_our_own_files_name_no_other_host() -> None:
    ours = [file for file in STATIC.iterdir() if file.suffix in {".js", ".css"}]
    assert len(ours) >= 4
    for file in ours:
        assert re.findall(r"https?://[^\s\"']+", file.read_text("utf-8")) == [], file

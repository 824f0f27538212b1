"""Takes the pictures of the viewer and the dashboard that the README has, of the samples.

    python -m samples.shots [--home DIR]

Needs Chromium (`apt-get install chromium`). Without `--home` the samples are read anew.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
CHROMIUM = "/usr/bin/chromium"
BEC = (sys.executable, "-P", "-m", "bec_orch.cli.main")
SHOTS = {
    "viewer": "/view/ocrv1/W1BEC001/I1BEC0001/2#line-3",
    "dashboard": "/jobs/ldv1",
}
_QUALITY = 82
_MILLISECONDS = 60_000


@contextmanager
def served(home: Path) -> Iterator[str]:
    """Serve a home, and return its address."""
    command = [*BEC, "--home", str(home), "serve", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603  (the program is ours)
        line = server.stdout.readline() if server.stdout else ""
        yield line.split()[-1].rstrip("/")
        server.terminate()


def take(page: Page, address: str, file: Path) -> None:
    """Take a picture of a page once all of it is there."""
    page.goto(address)
    if page.locator("#stage").count():
        page.wait_for_selector("#stage[data-ready]", timeout=_MILLISECONDS)
    page.wait_for_load_state("load")
    page.wait_for_timeout(2000)
    page.screenshot(path=file, type="jpeg", quality=_QUALITY)
    print(file)


def main() -> None:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="a workspace that has read the samples")
    home: Path | None = parser.parse_args().home
    with tempfile.TemporaryDirectory(prefix="bec-shots-") as folder, sync_playwright() as playwright:
        if home is None:
            home = Path(folder)
            command = [*BEC, "run", "ocrv1", str(ROOT / "samples"), "--out", folder, "--max-page-error-rate", "0.2"]
            subprocess.run(command, check=False)  # noqa: S603  (the program is ours; it ends with 3 for the cut page)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        with served(home) as base:
            for name, path in SHOTS.items():
                take(page, base + path, IMAGES / f"{name}.jpg")
        browser.close()


if __name__ == "__main__":
    main()

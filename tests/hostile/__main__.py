"""Write all hostile volumes to a folder, for people to look at, and to try things on.

    python -m tests.hostile DIR

DIR/folder holds the images (`bec run ldv1 DIR/folder`), DIR/bdrc the manifests and names (BEC_SOURCE_LAYOUT=bdrc).
"""

import argparse
from pathlib import Path

from tests.hostile import images, manifests
from tests.hostile.writing import write_images, write_manifests


def main() -> None:
    """Read the command line, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that is not there yet")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True)
    write_images(folder / "folder", [*images.CASES, *images.MORE_CASES])
    write_manifests(folder / "bdrc", manifests.CASES)
    for case in (*images.CASES, *images.MORE_CASES, *manifests.CASES):
        print(f"{case.family}/{case.name:<42} {case.code or 'ok'}")


if __name__ == "__main__":
    main()

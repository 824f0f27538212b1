"""Finds what lines are composed of: texts of books and uchen fonts, with some kept apart to judge by.

Nothing of it is kept in the project. Fonts that are absent are left out; which were found is told by their number.
"""

from pathlib import Path

from training.reader.picture import Composer
from training.reader.setting import Face
from training.reader.writing import Writing
from training.shared import CURSIVE, SYSTEM_FONTS, UNLICENSED

ENDINGS = {".ttf", ".otf", ".woff"}
HELD_OUT = ("ouchan4", "ddc_rinzin")
"""Fonts that nothing is trained on."""
TEXTS_A_JUDGED_ONE = 3
"""Of so many texts one is for lines to judge by: what a language model has counted it knows by heart."""
OF_TIBETAN = ("tibet", "uchen", "jomolhari", "sambhota", "monlam", "ddc", "paramita")
UNLIKE_A_PRINT = ("-100-", "-200-")
"""Hairlines, which no block print has."""


def texts_in(data: Path) -> tuple[list[Path], list[Path]]:
    """Return the texts under `data`: those of which a language model is counted that is judged, and the others."""
    texts = sorted((data / "fonts_text").glob("*.txt")) + sorted((data / "fonts_text" / "kangyur").glob("*.txt"))
    apart = texts[::TEXTS_A_JUDGED_ONE]
    return [path for path in texts if path not in apart], apart


def composer_of(data: Path, folders: list[Path], *, held_out: bool = False) -> Composer:
    """Gather texts and fonts under `data` and in folders of fonts; `held_out`: only the texts and fonts kept apart."""
    counted, judged = texts_in(data)
    texts = judged if held_out else sorted(judged + counted)
    fonts = fonts_in([data / "fonts_text" / "fonts", SYSTEM_FONTS, *folders])
    apart = [path for path in fonts if any(name in path.name.lower() for name in HELD_OUT)]
    chosen = apart if held_out else [path for path in fonts if path not in apart]
    return Composer(Writing.of(texts), [Face(path) for path in chosen])


def cursive_composer(composer: Composer) -> Composer:
    """Return a composer of the same texts with the system's cursive fonts, which the recogniser cannot read."""
    return Composer(composer.writing, [Face(path) for path in fonts_in([SYSTEM_FONTS], cursive=True)])


def fonts_in(folders: list[Path], *, cursive: bool = False) -> list[Path]:
    """Return the fonts of block letters, or those of headless script, each name once."""
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            name = path.name.lower()
            tibetan = any(each in str(path).lower() for each in OF_TIBETAN) and "-latin" not in name
            headless = any(each in name for each in CURSIVE)
            wanted = headless == cursive and not any(each in name for each in UNLIKE_A_PRINT)
            wanted = wanted and path.stem not in UNLICENSED
            if path.suffix.lower() in ENDINGS and tibetan and wanted:
                found.setdefault(path.stem.lower(), path)
    return sorted(found.values())

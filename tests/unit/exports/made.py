"""Pages as jobs hand them on, with everything in them that documents trip over."""

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.transcripts import Line, Origin, PageContent, PageRecord
from bec_orch.core.volumes import VolumeRef

VOLUME = VolumeRef("W1<&>", "I1'\"", "folder+file:///scans")
ORIGIN = Origin(
    VOLUME,
    "ocr-uchen",
    "ocrv1",
    "tesseract",
    (ModelInfo("bod & co", "ab" * 32), ModelInfo("second", "cd" * 32)),
    "1",
    "0123456789abcdef",
    "2026-01-02T03:04:05+00:00",
    "ef" * 32,
)
NOTHING_TOLD = Origin(VolumeRef("W2", "I2", "folder+file:///scans"), "old")

TEXT = "༄༅། །བཀྲ་ཤིས་ <b>&amp;\"'</b> 漢 𠀀"
SQUARE = ((10, 20), (110, 22), (108, 60), (9, 58))
LINES = (
    Line(SQUARE, ((10, 50), (60, 52), (110, 51)), TEXT, 0.87654, "main"),
    Line(((5, 70), (105, 70), (105, 90), (5, 90)), ((5, 85), (105, 85)), "གཉིས་པ།", 1.0, "main"),
    Line(((5, 1), (50, 1), (50, 9), (5, 9)), (), "༡༢", 0.0, "running"),
    Line(((150, 20), (150, 20)), (), "", 0.25, "margin"),
    Line(((3, 100), (9, 130), (2, 128)), ((3, 100), (3, 130)), None, None, "note"),
    Line(((120, 95), (180, 95), (180, 99)), (), "two  spaces ", 0.5, "other"),
    Line(((120, 105), (180, 105), (180, 109)), (), "main again", None, "main"),
)
FULL = PageRecord(0, 'a & "b" <ཀ>.jpg', PageContent(LINES, (200, 140), 1.25))
BLANK = PageRecord(1, "blank.png", PageContent((), (200, 140)))
SKIPPED = PageRecord(2, "form.tif", note="skipped: intro -- & <more>")
BROKEN = PageRecord(3, "cut.jpg", note="error: E_IMAGE_TRUNCATED")
UNKNOWN_SIZE = PageRecord(4, "old.jpg", PageContent((Line(SQUARE, (), "x"),), None, -90.0))
CONTROLS = PageRecord(
    5, "odd.jpg", PageContent((Line(SQUARE, (), "a\x00\x0bb\ufffe\ud800c\nd\u2028e", 0.5),), (200, 140))
)
PAGES = (FULL, BLANK, SKIPPED, BROKEN, UNKNOWN_SIZE, CONTROLS)

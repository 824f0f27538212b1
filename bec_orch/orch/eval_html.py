"""An evaluation report as one HTML page that needs no other file, no network and no script."""

import base64
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from bec_orch.orch.eval_svg import bars, histogram
from bec_orch.orch.eval_values import Confusion, PageScore, Report, WorkScore

WORKS = 40
_NOTHING = "nothing"
_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #fdfdfb; --faint: #6b6b6b; --bar: #2f6f9f; --rule: #d5d5d0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e4; --paper: #17181a; --faint: #9a9a96; --bar: #6fb1e0; --rule: #3a3b3d; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
p.note { color: var(--faint); max-width: 45rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
tr + tr td, tr + tr th { border-top: 1px solid var(--rule); } tr th { font-weight: 600; }
svg { width: 100%; height: auto; } svg rect { fill: var(--bar); } svg line { stroke: var(--faint); }
svg text { fill: var(--ink); font-size: 11px; }
.scroll { overflow-x: auto; }
.pages { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 1rem; padding: 0; }
figure { margin: 0; border: 1px solid var(--rule); padding: .5rem; } figure img { width: 100%; height: auto; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
"""


def render(report: Report, thumbnails: Mapping[PageScore, bytes]) -> str:
    """Give the page as HTML.

    Args:
        report: what to show.
        thumbnails: small JPEGs of the pages of `report.worst` and `report.suspects`; a page may have none.
    """
    sections = [
        _section("The whole job", "", _summary(report)),
        _truth_section(report),
        _suspicion_section(report),
        _section("By work", _works_note(report), _works(report)),
        _confusion_section(report.confusions),
        _pages_section("Pages with the highest character error rates", report.worst, thumbnails),
        _pages_section("Pages to look at first", report.suspects, thumbnails),
    ]
    title = escape(f"Evaluation {report.job}")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>{''.join(sections)}</body></html>\n"
    )


def _section(title: str, note: str, body: str) -> str:
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{said}{body}</section>" if body else ""


def _summary(report: Report) -> str:
    return _table(None, report.summary())


def _truth_section(report: Report) -> str:
    if not report.cer.total:
        return ""
    note = (
        "Edit distance between the recognised text and the ground truth, by grapheme clusters, white space left out, "
        "divided by the length of the truth. The last bar holds all pages at 100% and above."
    )
    drawn = histogram(report.cer, title="Pages by character error rate", axis="character error rate of a page")
    return _section("Character error rate", note, drawn)


def _suspicion_section(report: Report) -> str:
    if not report.suspicion.total:
        return ""
    note = (
        "Needs no ground truth: the largest of a page's shares of doubtful lines, foreign code points, illegal stacks, "
        "repeated text and disagreement with a second OCR; 100% where the image has ink and there is no text."
    )
    return _section(
        "Suspicion", note, histogram(report.suspicion, title="Pages by suspicion", axis="suspicion of a page")
    )


def _works_note(report: Report) -> str:
    more = len(report.works) - WORKS
    return f"The {WORKS} worst of {len(report.works)} works." if more > 0 else ""


def _works(report: Report) -> str:
    works = report.works[:WORKS]
    if not works:
        return ""
    by_cer = [(work.w_id, work.sums.cer, f"{work.sums.cer:.1%}") for work in works if work.sums.cer is not None]
    by_suspicion = [(work.w_id, work.suspicion, f"{work.suspicion:.1%}") for work in works]
    drawn = bars(by_cer, title="Character error rate by work") if by_cer else ""
    drawn = drawn or bars(by_suspicion, title="Mean suspicion by work")
    head = ("Work", "Volumes", "Pages", "With truth", "CER", "SER", "WER", "Suspicion")
    return drawn + _table(head, [_work_row(work) for work in works])


def _work_row(work: WorkScore) -> Sequence[str]:
    rates = (_percent(rate) for rate in (work.sums.cer, work.sums.ser, work.sums.wer, work.suspicion))
    return (work.w_id, f"{work.volumes:,}", f"{work.pages:,}", f"{work.sums['has_truth']:,}", *rates)


def _confusion_section(confusions: Sequence[Confusion]) -> str:
    rows = [(_shown(c.truth), _shown(c.ocr), f"{c.count:,}") for c in confusions]
    body = _table(("In the truth", "Read as", "Times"), rows, numbers_from=2) if rows else ""
    return _section("Commonest confusions", "", body)


def _shown(character: str) -> str:
    """Write a character with the names of its code points, so that invisible and look-alike ones can be told."""
    if not character:
        return _NOTHING
    names = ", ".join(f"U+{ord(point):04X} {unicodedata.name(point, 'unnamed')}" for point in character)
    return f"{character}  ({names})"


def _pages_section(title: str, pages: Sequence[PageScore], thumbnails: Mapping[PageScore, bytes]) -> str:
    figures = "".join(_figure(page, thumbnails.get(page)) for page in pages)
    return _section(title, "", f'<div class="pages">{figures}</div>' if figures else "")


def _figure(page: PageScore, picture: bytes | None) -> str:
    image = ""
    if picture:
        data = base64.b64encode(picture).decode()
        image = f'<img alt="{escape(page.img_file_name)}" loading="lazy" src="data:image/jpeg;base64,{data}">'
    rate = "" if page.cer is None else f"CER {_percent(page.cer)}, "
    said = f"{page.volume} page {page.index + 1}, {page.img_file_name}: {rate}suspicion {_percent(page.suspicion)}, "
    return f"<figure>{image}<figcaption>{escape(said)}{page.nb_chars:,} characters read</figcaption></figure>"


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"


def _table(head: Sequence[str] | None, rows: Iterable[Sequence[str]], *, numbers_from: int = 1) -> str:
    lines = [_row(head, "th", numbers_from)] if head else []
    lines += [_row(cells, "td", numbers_from) for cells in rows]
    return f'<div class="scroll"><table>{"".join(lines)}</table></div>'


def _row(cells: Sequence[str], tag: str, numbers_from: int) -> str:
    kinds = [' class="number"' if place >= numbers_from else "" for place in range(len(cells))]
    return (
        f"<tr>{''.join(f'<{tag}{kind}>{escape(cell)}</{tag}>' for kind, cell in zip(kinds, cells, strict=True))}</tr>"
    )

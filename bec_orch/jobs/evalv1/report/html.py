"""An evaluation report as one HTML page that needs no other file, no network and no script."""

import base64
import datetime as dt
import unicodedata
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files

from bec_orch.core.names import escaped
from bec_orch.core.views import ShownPage
from bec_orch.jobs.evalv1.report.svg import histogram
from bec_orch.jobs.evalv1.report.values import Confusion, PageScore, Report, WorkScore

WORKS = 40
CONFUSIONS = 15
"""More than these are folded away."""


Thumbnail = Callable[[ShownPage], bytes | None]


class EvaluationReport(Report):
    """The figures, with a page that shows them."""

    def html(self, thumbnail: Thumbnail, made: dt.datetime) -> str:
        """Return the report as one HTML page that needs no other file; see `render`."""
        return render(self, thumbnail, made)


def render(report: Report, thumbnail: Thumbnail, made: dt.datetime) -> str:
    """Return the page as HTML.

    Args:
        report: what to show.
        thumbnail: returns a small JPEG of a page of `report.worst` and `report.suspects`; None where it has none.
        made: when the figures were added up.
    """
    title = escape(f"Evaluation {report.job}")
    sections = [
        _section("At a glance", _tiles(report) + _figures(report)),
        _truth_section(report),
        _pages_section("Pages with the highest character error rates", report.worst, thumbnail),
        _works_section(report),
        _confusion_section(report.confusions),
        _suspicion_section(report),
        _pages_section("Most suspicious pages", report.suspects, thumbnail),
    ]
    style = files("bec_orch.jobs.evalv1.report").joinpath("html.css").read_text("utf-8")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><meta name="generator" content="bec_orch">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{title}</title><style>{style}</style></head><body><header><h1>{title}</h1>"
        f'<p class="note">{escape(_extent(report, made))}</p></header>{"".join(sections)}</body></html>\n'
    )


def _extent(report: Report, made: dt.datetime) -> str:
    counts = [
        _many(report.volumes, "volume"),
        f"{_many(report.pages.ok, 'page')} evaluated",
        f"{report.pages.skipped:,} skipped",
        f"{report.pages.error:,} failed" if report.pages.error else "",
        f"{_many(len(report.unreadable), 'volume')} unreadable" if report.unreadable else "",
    ]
    return f"{', '.join(count for count in counts if count)}. {made:%d %B %Y, %H:%M} UTC."


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _section(title: str, body: str, note: str = "") -> str:
    said = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<section><h2>{escape(title)}</h2>{said}{body}</section>" if body else ""


def _tiles(report: Report) -> str:
    """Show the few figures that people come for."""
    sums = report.sums
    shown = (
        [
            ("Character error rate", _percent(sums.cer), "of all characters together"),
            ("Median page", _percent(report.cer.quantile(0.5)), "character error rate"),
            ("Syllable error rate", _percent(sums.ser), "of all syllables together"),
            ("With ground truth", f"{sums['has_truth']:,}", f"of {report.pages.ok:,} pages"),
        ]
        if report.cer.total
        else [
            ("Median page", _percent(report.suspicion.quantile(0.5)), "suspicion, without ground truth"),
            ("Doubtful lines", _percent(sums.share("low_confidence_lines", "nb_lines")), f"of {sums['nb_lines']:,}"),
            ("Illegal stacks", _percent(sums.share("illegal_stacks", "stacks")), f"of {sums['stacks']:,}"),
            ("Pages missed", f"{sums['empty_with_ink']:,}", "with ink, but without text"),
        ]
    )
    return f'<div class="tiles">{"".join(_tile(*tile) for tile in shown)}</div>'


def _tile(label: str, figure: str, note: str) -> str:
    return f"<div><b>{escape(figure)}</b><span>{escape(label)}</span><small>{escape(note)}</small></div>"


def _figures(report: Report) -> str:
    rows = "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>" for label, value in report.summary())
    return f'<dl class="figures">{rows}</dl>'


def _truth_section(report: Report) -> str:
    if not report.cer.total:
        return ""
    note = (
        "Edit distance between the recognised text and the ground truth, by grapheme clusters (a Tibetan stack with "
        "its signs is one), white space left out, divided by the length of the truth."
    )
    marks = [(f"{name} {_percent(at)}", at) for name, at in _quantiles(report) if at is not None]
    drawn = histogram(
        report.cer, title="Pages by character error rate", axis="character error rate of a page", marks=marks
    )
    return _section("Character error rate", drawn, note)


def _quantiles(report: Report) -> list[tuple[str, float | None]]:
    return [("median", report.cer.quantile(0.5)), ("90th percentile", report.cer.quantile(0.9))]


def _suspicion_section(report: Report) -> str:
    if not report.suspicion.total:
        return ""
    note = (
        "Needs no ground truth: the largest of a page's shares of doubtful lines, foreign code points, illegal stacks, "
        "repeated text and disagreement with a second OCR; 100% where the image has ink and there is no text."
    )
    drawn = histogram(report.suspicion, title="Pages by suspicion", axis="suspicion of a page")
    return _section("Suspicion", drawn, note)


def _works_section(report: Report) -> str:
    works = report.works[:WORKS]
    if not works:
        return ""
    more = len(report.works) - WORKS
    told = f"The {WORKS} worst of {len(report.works)} works. " if more > 0 else ""
    by_cer = bool(report.cer.total)
    told += "The bar is the character error rate." if by_cer else "The bar is the mean suspicion of its pages."
    measures = [work.sums.cer if by_cer else work.suspicion for work in works]
    longest = max((measure or 0.0 for measure in measures), default=0.0) or 1.0
    head = ("Work", "", "Volumes", "Pages", "With truth", "CER", "SER", "WER", "Suspicion")
    rows = (
        _work_row(work, "" if measure is None else _bar(measure / longest))
        for work, measure in zip(works, measures, strict=True)
    )
    return _section("By work", _table(head, "".join(rows), numbers_from=2), told)


def _work_row(work: WorkScore, bar: str) -> str:
    counts = (f"{work.volumes:,}", f"{work.pages:,}", f"{work.sums['has_truth']:,}")
    rates = (_percent(rate) for rate in (work.sums.cer, work.sums.ser, work.sums.wer, work.suspicion))
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in (*counts, *rates))
    return f'<tr><td><bdi>{escape(work.w_id)}</bdi></td><td class="plot">{bar}</td>{numbers}</tr>'


def _bar(share: float) -> str:
    return f'<div class="bar" style="width:{share:.1%}"></div>'


def _confusion_section(confusions: Sequence[Confusion]) -> str:
    if not confusions:
        return ""
    head, most = ("In the truth", "Read as", "", "Times"), confusions[0].count
    rows = [_confusion_row(confusion, most) for confusion in confusions]
    body = _table(head, "".join(rows[:CONFUSIONS]), numbers_from=3)
    if rows[CONFUSIONS:]:
        folded = _table(head, "".join(rows[CONFUSIONS:]), numbers_from=3)
        body += f"<details><summary>{len(rows) - CONFUSIONS} more</summary>{folded}</details>"
    return _section("Commonest confusions", body)


def _confusion_row(confusion: Confusion, most: int) -> str:
    return (
        f"<tr><td>{_cluster(confusion.truth)}</td><td>{_cluster(confusion.ocr)}</td>"
        f'<td class="plot">{_bar(confusion.count / most)}</td><td class="number">{confusion.count:,}</td></tr>'
    )


def _cluster(cluster: str) -> str:
    """Write a grapheme cluster with the names of its code points: invisible and look-alike ones can be told by them."""
    if not cluster:
        return "<i>nothing</i>"
    names = [f"U+{ord(point):04X} {unicodedata.name(point, 'unnamed')}" for point in cluster]
    return (
        f'<div class="read"><bdi class="cluster">{escape(cluster)}</bdi><small>{escape(", ".join(names))}</small></div>'
    )


def _pages_section(title: str, pages: Sequence[PageScore], thumbnail: Thumbnail) -> str:
    figures = "".join(_figure(page, thumbnail(page)) for page in pages)
    return _section(title, f'<div class="pages">{figures}</div>' if figures else "")


def _figure(page: PageScore, picture: bytes | None) -> str:
    name = escape(escaped(page.img_file_name))
    image = '<p class="none">no picture</p>'
    if picture:
        image = f'<img alt="{name}" loading="lazy" src="data:image/jpeg;base64,{base64.b64encode(picture).decode()}">'
    rate = "" if page.cer is None else f"<b>CER {_percent(page.cer)}</b> "
    return (
        f"<figure>{image}<figcaption><bdi>{escape(str(page.volume))}</bdi> page {page.index + 1}<br>"
        f"<small><bdi>{name}</bdi></small><br>{rate}<b>suspicion {_percent(page.suspicion)}</b> "
        f"<small>{page.nb_chars:,} characters read</small></figcaption></figure>"
    )


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"


def _table(head: Sequence[str], rows: str, *, numbers_from: int) -> str:
    kinds = ["" if place < numbers_from else ' class="number"' for place in range(len(head))]
    titles = "".join(f"<th{kind}>{escape(title)}</th>" for title, kind in zip(head, kinds, strict=True))
    return f'<div class="scroll"><table><tr>{titles}</tr>{rows}</table></div>'

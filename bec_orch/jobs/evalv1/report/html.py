"""An evaluation report as one HTML page that needs no other file, no network and no script.

What the page says stands in `templates/`, where every value is escaped as it is put in; here is what is put in.
"""

import base64
import datetime as dt
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined

from bec_orch.core.names import escaped
from bec_orch.core.ports.views import ShownPage
from bec_orch.core.wording import counted
from bec_orch.jobs.evalv1.report.plot import histogram
from bec_orch.jobs.evalv1.report.values import Report, WorkScore

WORKS = 40
CONFUSIONS = 15
"""More than these are folded away."""

Thumbnail = Callable[[ShownPage], bytes | None]


class EvaluationReport(Report):
    """The figures, with a page that shows them."""

    def html(self, thumbnail: Thumbnail, made: dt.datetime) -> str:
        """Return the report as one HTML page that needs no other file; see `render`."""
        return render(self, thumbnail, made)


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the few figures that people come for."""

    label: str
    figure: str
    note: str


def render(report: Report, thumbnail: Thumbnail, made: dt.datetime) -> str:
    """Return the page as HTML.

    Args:
        report: what to show.
        thumbnail: returns a small JPEG of a page of `report.worst` and `report.suspects`; None where it has none.
        made: when the figures were added up.
    """
    marks = [("median", report.cer.quantile(0.5)), ("90th percentile", report.cer.quantile(0.9))]
    return (
        templates()
        .get_template("report.html")
        .render(
            report=report,
            extent=_extent(report, made),
            tiles=_tiles(report),
            works=_works(report),
            unfolded=CONFUSIONS,
            picture=lambda page: _source(thumbnail(page)),
            cer_plot=histogram(
                report.cer,
                title="Pages by character error rate",
                axis="character error rate of a page",
                marks=[(f"{name} {_percent(at)}", at) for name, at in marks if at is not None],
            ),
            suspicion_plot=histogram(report.suspicion, title="Pages by suspicion", axis="suspicion of a page"),
        )
    )


def templates() -> Environment:
    """Return the templates of the report, which escape whatever is put in."""
    templates = Environment(
        loader=PackageLoader("bec_orch.jobs.evalv1.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {
        "percent": _percent,
        "grouped": "{:,}".format,
        "tenths": "{:.1f}".format,
        "printable": escaped,
        "code_points": _code_points,
    }
    return templates


def _extent(report: Report, made: dt.datetime) -> str:
    counts = [
        counted(report.volumes, "volume"),
        f"{counted(report.pages.ok, 'page')} evaluated",
        f"{report.pages.skipped:,} skipped",
        f"{report.pages.error:,} failed" if report.pages.error else "",
        f"{counted(len(report.unreadable), 'volume')} unreadable" if report.unreadable else "",
        f"{counted(report.partial, 'volume')} not done, and partly counted" if report.partial else "",
    ]
    return f"{', '.join(count for count in counts if count)}. {made:%d %B %Y, %H:%M} UTC."


def _tiles(report: Report) -> list[Tile]:
    sums = report.sums
    if report.cer.total:
        return [
            Tile("Character error rate", _percent(sums.cer), "of all characters together"),
            Tile("Median page", _percent(report.cer.quantile(0.5)), "character error rate"),
            Tile("Syllable error rate", _percent(sums.ser), "of all syllables together"),
            Tile("With ground truth", f"{sums['has_truth']:,}", f"of {report.pages.ok:,} pages"),
        ]
    return [
        Tile("Median page", _percent(report.suspicion.quantile(0.5)), "suspicion, without ground truth"),
        Tile("Doubtful lines", _percent(sums.share("low_confidence_lines", "nb_lines")), f"of {sums['nb_lines']:,}"),
        Tile("Illegal stacks", _percent(sums.share("illegal_stacks", "stacks")), f"of {sums['stacks']:,}"),
        Tile("Pages missed", f"{sums['empty_with_ink']:,}", "with ink, but without text"),
    ]


def _works(report: Report) -> list[tuple[WorkScore, float | None]]:
    """Return the works that are shown, each with the length of its bar as a share of the longest."""
    works = report.works[:WORKS]
    measures = [work.sums.cer if report.cer.total else work.suspicion for work in works]
    longest = max((measure or 0.0 for measure in measures), default=0.0) or 1.0
    return [(work, None if at is None else at / longest) for work, at in zip(works, measures, strict=True)]


def _source(picture: bytes | None) -> str | None:
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}" if picture else None


def _code_points(cluster: str) -> str:
    """Name the code points of a grapheme cluster: so that invisible and look-alike ones can be told apart."""
    return ", ".join(f"U+{ord(point):04X} {unicodedata.name(point, 'unnamed')}" for point in cluster)


def _percent(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.1%}"

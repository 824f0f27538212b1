"""The row of one page: what is measured, and the columns that hold it. docs/evaluation.md explains each column."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from bec_orch.jobs.evalv1 import rates
from bec_orch.jobs.evalv1.config import TIBETAN, Evalv1Config
from bec_orch.jobs.evalv1.no_truth import Signs, agreement_of, signs_of
from bec_orch.jobs.evalv1.normalise import graphemes, normalise, single_spaced, syllables, without_whitespace, words
from bec_orch.jobs.evalv1.ocr_rows import OcrPage
from bec_orch.jobs.evalv1.truth import Truth

MOST_CONFUSIONS = 50
"""Different confusions that a row keeps; a page of some quality has fewer."""
MOST_TEXT = 20_000
"""Code points of a text that a row keeps; a page of print has some 4,000."""
_FIRST_LINE_OFF, _REST_READ = 0.8, 0.5
"""A first line is no text of the page where so much of it was not read, and so much of the rest was."""

_CONFUSION = pa.struct([("truth", pa.string()), ("ocr", pa.string()), ("count", pa.int32())])
_COLUMNS: dict[str, pa.DataType] = {
    "has_truth": pa.bool_(),
    "truth_key": pa.string(),
    "truth_etag": pa.string(),
    "truth_chars": pa.int32(),
    "char_errors": pa.int32(),
    "char_insertions": pa.int32(),
    "char_deletions": pa.int32(),
    "char_substitutions": pa.int32(),
    "cer": pa.float64(),
    "cer_spaced": pa.float64(),
    "cer_codepoints": pa.float64(),
    "cer_wylie": pa.float64(),
    "truth_syllables": pa.int32(),
    "syllable_errors": pa.int32(),
    "ser": pa.float64(),
    "truth_words": pa.int32(),
    "word_errors": pa.int32(),
    "wer": pa.float64(),
    "confusions": pa.list_(_CONFUSION),
    "first_line_off": pa.bool_(),
    "truth_text": pa.string(),
    "ocr_text": pa.string(),
    "nb_chars": pa.int32(),
    "nb_lines": pa.int32(),
    "low_confidence_lines": pa.int32(),
    "mean_confidence": pa.float32(),
    "chars_per_line": pa.float32(),
    "codepoints": pa.int32(),
    "outside_script": pa.int32(),
    "stacks": pa.int32(),
    "illegal_stacks": pa.int32(),
    "foreign_stacks": pa.int32(),
    "illegal_examples": pa.list_(pa.string()),
    "repeated_chars": pa.int32(),
    "ink": pa.float32(),
    "empty_with_ink": pa.bool_(),
    "agreement": pa.float64(),
    "suspicion": pa.float32(),
    "unmatched_truth": pa.list_(pa.string()),
    "nb_unmatched_truth": pa.int32(),
}
SCHEMA = pa.schema(_COLUMNS)
COUNTED = {
    "pages_with_truth": "has_truth",
    "truth_chars": "truth_chars",
    "char_errors": "char_errors",
    "truth_syllables": "truth_syllables",
    "syllable_errors": "syllable_errors",
    "truth_words": "truth_words",
    "word_errors": "word_errors",
    "chars": "nb_chars",
    "lines": "nb_lines",
    "low_confidence_lines": "low_confidence_lines",
    "codepoints": "codepoints",
    "outside_script": "outside_script",
    "stacks": "stacks",
    "illegal_stacks": "illegal_stacks",
    "repeated_chars": "repeated_chars",
    "empty_with_ink": "empty_with_ink",
    "unmatched_truth": "nb_unmatched_truth",
}
"""The summary of a volume: its counters, each with the column that it sums."""

Row = Mapping[str, Any]


def row_of(
    page: OcrPage, config: Evalv1Config, *, truth: Truth | None = None, second: OcrPage | None = None, ink: float | None
) -> Row:
    """Measure a page.

    Args:
        page: what was read on it.
        config: the job's config.
        truth: its true text, where there is one.
        second: what a second OCR job read on it, where there is one.
        ink: the share of ink on its image, where that was looked at.
    """
    text = without_whitespace(normalise(page.text))
    clusters = graphemes(text)
    signs = signs_of(page, text, clusters, config)
    agreed = None if second is None else agreement_of(clusters, second)
    missed = ink is not None and ink > config.empty_page_ink
    doubts = (signs.suspicion(), float(missed), 0.0 if agreed is None else 1.0 - agreed)
    return {
        "has_truth": truth is not None,
        **({} if truth is None else _against(truth, page.text, clusters, config)),
        **_signs_row(signs),
        "ink": ink,
        "empty_with_ink": missed,
        "agreement": agreed,
        "suspicion": max(doubts),
    }


def _against(truth: Truth, read: str, clusters: Sequence[str], config: Evalv1Config) -> Row:
    """Compare with the truth: normalised, except for the two rates meant for comparison with published ones."""
    true_text, ocr_text = normalise(truth.text), normalise(read)
    true_clusters = graphemes(without_whitespace(true_text))
    chars, confusions = rates.compare(true_clusters, clusters)
    spaced = rates.edits_between(*(graphemes(single_spaced(text)) for text in (true_text, ocr_text)))
    by_word = rates.edits_between(words(true_text), words(ocr_text))
    return {
        "truth_key": truth.key,
        "truth_etag": truth.etag,
        "truth_chars": chars.length,
        "char_errors": chars.errors,
        "char_insertions": chars.insertions,
        "char_deletions": chars.deletions,
        "char_substitutions": chars.substitutions,
        "cer": chars.rate,
        "cer_spaced": spaced.rate,
        "cer_codepoints": rates.cer_no_whitespace(truth.text, read),
        "cer_wylie": rates.cer_wylie(truth.text, read) if config.script == TIBETAN else None,
        **(_by_syllable(true_text, ocr_text) if config.script == TIBETAN else {}),
        "truth_words": by_word.length,
        "word_errors": by_word.errors,
        "wer": by_word.rate,
        "confusions": [
            {"truth": confusion.truth, "ocr": confusion.ocr, "count": confusion.count}
            for confusion in confusions[:MOST_CONFUSIONS]
        ],
        "first_line_off": _first_line_is_off(true_text, chars.errors, clusters),
        "truth_text": true_text[:MOST_TEXT],
        "ocr_text": ocr_text[:MOST_TEXT],
    }


def _first_line_is_off(true_text: str, errors: int, clusters: Sequence[str]) -> bool:
    """Return whether the truth's first line was not read, though the others were: a label of the file, for example."""
    first, _, others = true_text.strip().partition("\n")
    line, rest = (graphemes(without_whitespace(text)) for text in (first, others))
    if not line or not rest:
        return False
    without = rates.edits_between(rest, clusters).errors
    return errors - without >= _FIRST_LINE_OFF * len(line) and without <= _REST_READ * len(rest)


def _by_syllable(true_text: str, ocr_text: str) -> Row:
    by_syllable = rates.edits_between(syllables(true_text), syllables(ocr_text))
    return {
        "truth_syllables": by_syllable.length,
        "syllable_errors": by_syllable.errors,
        "ser": by_syllable.rate,
    }


def _signs_row(signs: Signs) -> Row:
    return {
        "nb_chars": signs.clusters,
        "nb_lines": signs.lines,
        "low_confidence_lines": signs.doubtful_lines,
        "mean_confidence": signs.mean_confidence,
        "chars_per_line": signs.clusters_per_line,
        "codepoints": signs.codepoints,
        "outside_script": signs.outside_script,
        "stacks": signs.stacks.count,
        "illegal_stacks": signs.stacks.illegal,
        "foreign_stacks": signs.stacks.foreign,
        "illegal_examples": signs.stacks.examples,
        "repeated_chars": signs.repeated,
    }

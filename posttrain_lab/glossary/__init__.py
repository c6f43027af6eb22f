"""The glossary: every term, from one source; `posttrain-lab release` writes `course/glossary.md`."""

from posttrain_lab import units
from posttrain_lab.glossary.first import FIRST
from posttrain_lab.glossary.term import Term
from posttrain_lab.glossary.words_auditing import AUDITING_WORDS
from posttrain_lab.glossary.words_calibration import CALIBRATION_WORDS
from posttrain_lab.glossary.words_clinic import CLINIC_WORDS
from posttrain_lab.glossary.words_cpu_kernels import CPU_KERNELS_WORDS
from posttrain_lab.glossary.words_deployment import DEPLOYMENT_WORDS
from posttrain_lab.glossary.words_edge import EDGE_WORDS
from posttrain_lab.glossary.words_fine_tuning import FINE_TUNING_WORDS
from posttrain_lab.glossary.words_gpu_kernels import GPU_KERNELS_WORDS
from posttrain_lab.glossary.words_pruning import PRUNING_WORDS
from posttrain_lab.glossary.words_quantization import QUANTIZATION_WORDS
from posttrain_lab.glossary.words_start_here import START_HERE_WORDS

__all__ = ["FIRST", "TERMS", "UNITS", "Term", "markdown"]

WORDS = (
    *START_HERE_WORDS,
    *PRUNING_WORDS,
    *QUANTIZATION_WORDS,
    *FINE_TUNING_WORDS,
    *CALIBRATION_WORDS,
    *CPU_KERNELS_WORDS,
    *GPU_KERNELS_WORDS,
    *AUDITING_WORDS,
    *DEPLOYMENT_WORDS,
    *CLINIC_WORDS,
    *EDGE_WORDS,
)
TERMS: tuple[Term, ...] = FIRST + tuple(sorted(WORDS, key=lambda term: term.name.casefold()))
UNITS = {unit.folder: unit.name for unit in units.UNITS}
OPENING = """# Glossary

The words of the course. The first ones say what it is about, in the order in which a newcomer needs them; the others
are sorted. This page is generated from `posttrain_lab/glossary/`.
"""


def _practised(unit: str) -> str:
    """Where the word is practised: a link to the unit, or no unit."""
    return f"*Unit [{UNITS[unit]}]({unit}/{unit}.ipynb)*" if unit else "*No unit of this course practises it.*"


def _entry(term: Term, names: dict[str, str]) -> str:
    lines = [f'<a id="{term.anchor}"></a>', "", f"### {term.name}", "", term.meaning, "", _practised(term.unit)]
    if term.see_also:
        lines[-1] += " · see also " + ", ".join(f"[{names[anchor]}](#{anchor})" for anchor in term.see_also)
    return "\n".join(lines)


def markdown() -> str:
    """The whole glossary as one page; links of the form `glossary.md#zero-point` lead to the anchors of its terms.

    >>> markdown().startswith("# Glossary"), '<a id="zero-point"></a>' in markdown()
    (True, True)
    """
    names = {term.anchor: term.name for term in TERMS}
    index = " · ".join(f"[{names[term.anchor]}](#{term.anchor})" for term in TERMS)
    entries = [_entry(term, names) for term in TERMS]
    first, rest = entries[: len(FIRST)], entries[len(FIRST) :]
    return "\n\n".join([OPENING.strip(), index, "## What the course is about", *first, "## A to Z", *rest]) + "\n"

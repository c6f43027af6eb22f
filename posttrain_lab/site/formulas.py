"""Formulas as MathML, which browsers draw themselves: no script, no font, nothing to load. docutils does the conversion."""

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.application import Sphinx

# What docutils does not know: three dots by another name, and sizes of brackets, which MathML chooses itself.
REPLACED = ((r"\\dots\b|…", r"\\ldots "), (r"\\[bB]ig[glr]?\b", ""))


def mathml(formula: str, block: bool = False) -> str:
    r"""The LaTeX formula as a `<math>` element. Raises ValueError that names a formula which cannot be converted.

    >>> "<mfrac>" in mathml(r"\frac{a}{b}")
    True
    """
    from docutils.utils.math import MathError
    from docutils.utils.math.latex2mathml import tex2mathml

    for pattern, known in REPLACED:
        formula = re.sub(pattern, known, formula)
    try:
        return tex2mathml(formula, as_block=block)
    except MathError as error:
        raise ValueError(f"The formula {formula!r} cannot be shown: {error} Write it with other commands.") from error


def _inline(translator: Any, node: "nodes.math") -> None:
    from docutils.nodes import SkipNode

    translator.body.append(f'<span class="math">{mathml(node.astext())}</span>')
    raise SkipNode


def _block(translator: Any, node: "nodes.math_block") -> None:
    from docutils.nodes import SkipNode

    translator.body.append(f'<div class="math">{mathml(node.astext(), block=True)}</div>\n')
    raise SkipNode


def setup(app: "Sphinx") -> dict[str, bool]:
    """What Sphinx calls: this renderer is named `mathml`."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

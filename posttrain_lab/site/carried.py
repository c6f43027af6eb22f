"""The scripts of others that the site and the slides show with: each comes with a Python package and is copied, none is linked to."""

from importlib.metadata import PackageNotFoundError, distribution, files
from pathlib import Path

SCRIPTS = {  # the package that carries each
    "plotly.min.js": "plotly",
    "tex-svg.js": "sphinx-mathjax-offline",  # MathJax: draws formulas, with all its glyphs in one file
    "reveal.js": "sphinx-revealjs",
    "reveal.css": "sphinx-revealjs",
}
NEEDED = ("myst-nb", "sphinx-book-theme", "sphinx-copybutton", *SCRIPTS.values())


def require() -> None:
    """Raise ImportError, with the remedy, unless all packages of the extra `site` are installed."""
    for package in NEEDED:
        try:
            distribution(package)
        except PackageNotFoundError:
            remedy = 'pip install -c constraints.txt -e ".[site]"'
            raise ImportError(f"The site needs {package}, which is not installed: {remedy}") from None


def carried(name: str) -> Path:
    """Where is this script?

    >>> carried("plotly.min.js").name
    'plotly.min.js'
    """
    found = [path for path in files(SCRIPTS[name]) or () if path.name == name]
    return Path(str(found[0].locate()))

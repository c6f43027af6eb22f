"""The course as a web site to read and as slides to teach with, from the same notebooks, without running them.

`posttrain-lab site` builds both. Nothing on the pages comes from another server: plotly.js draws the figures, MathJax the formulas, and
both are copied (`carried.py`). It needs a checkout of the repository and the extra `site`.
"""

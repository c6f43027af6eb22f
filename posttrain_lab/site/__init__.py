"""The course as a web site to read and as slides to teach with, from the same notebooks, without running them.

`posttrain-lab site` builds both. Nothing on the pages comes from another server: figures are drawn by the copy of plotly.js that
comes with plotly, formulas are MathML. It needs a checkout of the repository and the extra `site`.
"""

"""The settings of Sphinx for the site."""

project, author = "posttrain-lab", "The posttrain-lab authors"
copyright = author
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx_copybutton", "posttrain_lab.site.library"]
html_theme, html_title = "sphinx_book_theme", "posttrain-lab"
html_favicon = "_static/icon.svg"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = [("plotly.min.js", {"defer": "defer"}), ("figures.js", {"defer": "defer"})]
mathjax_path = "tex-svg.js"
mathjax3_config = {"options": {"enableMenu": False, "ignoreHtmlClass": "bd-article", "processHtmlClass": "math"}}
myst_update_mathjax = False
html_context = {"default_mode": "auto"}
html_copy_source = html_show_sourcelink = False
nb_execution_mode = "off"
nb_merge_streams = True
nb_output_stderr = "remove"  # bars of progress
nb_code_prompt_show, nb_code_prompt_hide = "Show the code", "Hide the code"
myst_enable_extensions = ["dollarmath", "amsmath", "attrs_inline"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a document may begin at the second level
add_module_names = False
autodoc_member_order = "groupwise"
autodoc_typehints_format = "short"
autodoc_inherit_docstrings = False
python_maximum_signature_line_length = 90
copybutton_prompt_text, copybutton_prompt_is_regexp = r">>> |\.\.\. ", True
html_theme_options = {
    "repository_url": "https://github.com/posttrain-lab/posttrain-lab",
    "repository_branch": "main",
    "path_to_docs": "course",
    "use_repository_button": True,
    "use_download_button": False,
    "show_navbar_depth": 1,
    "navbar_persistent": [],  # the sidebar has the search
    "launch_buttons": {
        "binderhub_url": "https://mybinder.org",
        "colab_url": "https://colab.research.google.com",
        "notebook_interface": "jupyterlab",
    },
}

"""How Sphinx builds the site: `make site`, or `attnscope learn`. Its sources are laid out by stage.py."""

from importlib import metadata

from attnscope.site.stage import LESSON, STATIC

project = "attnscope"
author = "The attnscope developers"
release = metadata.version("attnscope")
html_title = "attnscope"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "attnscope.site.extension",
]

myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
myst_url_schemes = {"http": None, "https": None, "doi": None, "code": "code/{{path}}.html#{{fragment}}"}
nb_execution_mode = "force"
nb_execution_excludepatterns = ["exercises.ipynb", "projects.ipynb"]  # their functions are the learner's
nb_execution_raise_on_error = True
nb_execution_timeout = 1800  # seconds for a cell: training takes a minute, and more on a busy machine
nb_merge_streams = True

# Docstrings are numpydoc.
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
toc_object_entries_show_parents = "hide"
add_module_names = False
default_role = "code"  # `name` in a docstring is code

# MathJax as one file that draws glyphs itself: neither fonts nor anything else is fetched.
mathjax_path = "tex-svg-full.js"
mathjax3_config = {
    "options": {"enableMenu": False},
    "svg": {"fontCache": "local"},
    "tex": {"packages": {"[+]": ["textmacros"]}},  # an underscore within a name, as Jupyter draws it
}
(_mathjax,) = [
    file.locate() for file in metadata.files("sphinx-mathjax-offline") or [] if file.name == "tex-svg-full.js"
]

html_theme = "sphinx_book_theme"
html_static_path = [
    str(STATIC),
    str(LESSON / "figures" / "figure.css"),
    str(_mathjax),
]
html_css_files = ["site.css", "figure.css"]
html_js_files = [("questions.js", {"defer": "defer"}), ("live.js", {"defer": "defer"})]
html_theme_options = {
    "show_navbar_depth": 1,
    "home_page_in_toc": True,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "show_toc_level": 2,
    "navbar_persistent": [],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_context = {"default_mode": "auto"}
html_show_sourcelink = False
html_copy_source = False
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True

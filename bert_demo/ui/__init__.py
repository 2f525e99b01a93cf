"""The page; the only part of the project that imports gradio and plotly.

page         the header and the tabs: the page's table of contents
context      what every part of the page works with
address      what a link to the page names
tabs/        the tabs, one after the other
parts/       what several tabs are made of
told         what anybody may be told of a run
api          the page's abilities under names that stay
serving/     where the page is served, with which flags, to whom
space_check  whether a Space would accept and run this repository
static/      what the browser runs; languages/ has one file for each translation
"""

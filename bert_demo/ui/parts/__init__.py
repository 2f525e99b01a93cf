"""What several tabs are made of.

language       the page's words in other languages
theme          looks, and colours that everybody can tell apart
assets         our scripts and styles, and plotly.js, served by the page itself
packed         files compressed once and kept by browsers
outline        what stands there until Gradio has built the page
view           parts of the page as plain data, which the browser draws
figures        Plotly figures as plain data
model_menu     the menu of models
moments        the slider through the moments that a run has kept
setting_words  what settings and their values are called
exercises      the book's mistakes and exercises as runs
forms          the form of a run, made from `config.py`
forecast       what a run would take, in words
columns        which columns of one's own table are meant
own_text       texts of one's own, pasted or dropped
live           one run, watched live
"""

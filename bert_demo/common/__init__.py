"""What all other rooms stand on, above nothing.

errors         words that can be said in other languages, and what people did wrong
corpus_names   the corpora's names, and how those of people's own texts are made
fields         a setting: its range, hint and flag, and how its values are checked
groups         which settings belong together, and what a visitor may set
"""

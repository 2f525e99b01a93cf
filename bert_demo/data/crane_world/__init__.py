"""Crane World, the built-in corpus: text files for what it says, short code for how it is told.

- reader.py: the format of the text files
- grammar.py: word forms and templates filled at random (grammar.txt)
- scenes.py: the senses of words such as "crane" (scenes.txt, told by frames.txt)
- everyday.py: people, things and deeds (everyday.txt)
- days.py: ordinary paragraphs about them (days.txt)
- splits.py: which text is for training, validation and testing
- paragraphs.py: the corpus to pretrain on
- pairs.py, logic.py: pairs of premise and hypothesis, by what they are about
- nli.py: the corpus of labelled pairs
- probes.py: sentences to probe a model with (senses.txt, probes.txt)
"""

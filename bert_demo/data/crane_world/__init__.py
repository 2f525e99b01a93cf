"""Crane World, the built-in corpus: text files for what it says, short code for how it is told.

reader      the format of the text files
grammar     word forms and templates filled at random (grammar.txt)
scenes      the senses of words such as "crane" (scenes.txt, told by frames.txt)
everyday    people, things and deeds (everyday.txt)
days        ordinary paragraphs about them (days.txt)
splits      which text is for training, validation and testing
paragraphs  the corpus to pretrain on
pairs       premise and hypothesis about who is there and who does what
logic       the same about number, quantity, quality and comparison
nli         the corpus of labelled pairs
probes      sentences to probe a model with (senses.txt, probes.txt)
"""

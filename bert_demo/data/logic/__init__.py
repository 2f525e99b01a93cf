"""Pairs of logic to learn from, mixed into fine-tuning.

logic.txt     what they are made of
slots         what the slots of their templates hold
pairs         how they are made
captions.txt  words that captions are about
worded        pairs made of these: who did it, who has it, which colour is whose
captions      more of them, made of labelled pairs' own sentences
mixed         such pairs beside a corpus' own
"""

"""Pairs of logic to learn from, mixed into fine-tuning.

logic.txt     what they are made of
slots         what the slots of their templates hold
pairs         how they are made
captions      more of them, made of labelled pairs' own sentences
captions.txt  the words for that
mixed         such pairs beside a corpus' own
"""

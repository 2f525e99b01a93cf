"""Trap pairs by kind, to ask a judge with and never to train one on.

traps.txt  what they are made of
pairs      how they are made
"""

"""The same abilities from a shell: `python -m bert_demo COMMAND`.

parser     the commands and their flags; help needs no more than this
flags      flags that several commands have
commands   what the commands do
training   pretrain and finetune: a run from its flags, and Ctrl-C that keeps it
evaluate   a checkpoint's scores on pairs, or on text
failures   where a classifier fails, for `evaluate --details`
against    one setting both ways, in pairs of runs
find_rate  how large a run's steps may be
doctor     what this computer offers and what is missing
output     what the commands print: sentences, JSON, tables, a bar
"""

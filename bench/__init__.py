"""Comparisons and measurements that anyone can run again; RESULTS.md says what they found.

compare               training beside the book's own code and `transformers`
peers, scaling, limit speed against other implementations, sizes, and what the processor could do
inference             answers and starts
questions             answers while a run trains
preparation           preparing pairs, and drawing batches
references            the recorded runs behind the curves of a run of the same settings
quality               what the models learn
logic                 what a judge reads of pairs of logic made anew, by kind
against               how often a setting is found to differ from itself
page                  how quickly the page comes up, and what watchers cost
load                  a class on one page
faults                kills, a full disk, a deleted folder
hostile               calls that no honest visitor makes
gpu                   what gpu.sh computes on a card by itself
without               a command without some fast paths, to see what they bring
host                  how many steps a second Python allows on the way of a GPU
"""

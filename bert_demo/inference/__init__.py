"""Questions to a model: what it says of texts, and whether that means something.

report        base of the answers: dataclasses that can be read like a dict
predict       token vectors, words for blanks, verdicts
follow        one token through all layers: what it is near, what it would be, where it looks
moved         how far training moved each matrix, from one moment to another
occurrences   where its training text has a word as it stands in a text
attributions  why a verdict: integrated gradients, and leaving words out
integrated_gradients  what each number of an input adds to a function, of any function
edits         small changes of a pair, and what should come of them (edits.txt)
flips         what a classifier says after each of these changes
calibration   whether a classifier is as sure as it is right
evaluation    scores of a classifier on many labelled pairs
slices        such pairs by length, shared words, negation, numbers and kind
failures      where a classifier fails, by these sorts and pair by pair
words         where a word stands in a text, which words a model knows, how often it met one
senses        cosines, the mean subtracted, sense separation, a plane
contexts      one word in several contexts, out of the three before
noisy         the same with dropout left on, as the book does it
difference    whether two ways to train differ by more than noise
results       how good a model was when it was last measured
entries       what there is to say of a model without loading it
models        the models at hand by their ids, and the few that are loaded
"""

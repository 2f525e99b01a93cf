"""The tabs. NAME.py has a tab's components and events, NAME_view.py what it shows as plain data.

training           Pretrain and Fine-tune
training_handlers  what they do when something is asked of them
rates              their search for a learning rate
against            one setting both ways, below the stage of Pretrain
words              Words in context
words_contexts     its list of contexts
words_view         its answer
words_dropout      its part "dropout left on": the book's mistake
nli                Premise and hypothesis
nli_examples       its pairs to begin with
nli_view           its answer
nli_why            what carried that answer, and what flips it
fails              its part "Where it fails": a whole table judged
fails_tables       the tables that can be judged, one's own among them
fails_view         its answer
blank              Fill in the blank
follow_view        one token followed through the layers, there and in Words in context
step_view          one training step played slowly, in Fill in the blank
runs/              Runs
"""

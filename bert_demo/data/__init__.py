"""Text and how it becomes batches. In the order in which to read:

own           people's own texts and pairs, where they lie once they are taken in
corpora       which corpora there are, and what files they have
locate        one file of the Hub: in a local mirror, in the Hub's cache, on the Hub
whereabouts   where the files of a corpus are
hub           files from the Hugging Face Hub, and what goes wrong on the way
download      one file from a plain web address
files         folders and files that change in one move, stamps of files, tensors in them
crane_world/  the built-in corpus
wikitext      WikiText-2 as the book takes it: paragraphs of sentences
sources       the files that people name: their own, or a data set's of the Hub
encodings     how their letters are written
plain_text    text in such files, in whichever form
sentences     where paragraphs and sentences end
own_text      somebody's own text becomes a corpus
tables        people's own tables of pairs, in whichever form
traps/        pairs to ask a judge with, by kind, never to train on
snli          SNLI, and pairs out of such tables
own_pairs     somebody's own pairs become a corpus
words         how typed text becomes words
wordpiece     words in pieces, by way of `tokenizers`
chunks        many texts as arrays
truncation    how much of a pair stays where it is too long
tokenizer     text to token ids and back
interruption  whether long preparations may go on
own_report    what there is to know of one's own text before a run
cache         arrays that are made once and kept on disk
readers       how each corpus is read
prepare       corpora as such arrays of token ids
word_vectors  vectors of words, counted
masking       which tokens a model has to guess
layout        where the tokens of a batch lie
packing       a batch whose sequences lie end to end
batches       the batch of a seed and a step
pretraining_batches  of sentence pairs from a text
nli_batches   of labelled pairs
new_pairs     unlabelled pairs for distillation
logic/        generated pairs of logic for fine-tuning
"""

"""Text and how it becomes batches.

- corpora.py: which corpora there are, and where their files come from
- hub.py, download.py: files from the Hugging Face Hub and from plain web addresses
- files.py: folders and files that change in one move, stamps of files, tensors in them
- crane_world/: the built-in corpus
- wikitext.py, snli.py: paragraphs of sentences; premise and hypothesis with a label
- words.py, wordpiece.py: how text is cut into words, and into pieces of words
- tokenizer.py: text to token ids and back
- cache.py, prepare.py: corpora as arrays of token ids, made once and kept on disk
- masking.py: which tokens a model has to guess
- layout.py: where the tokens of a batch lie
- packing.py: a batch whose sequences lie end to end
- batches.py: the batch of a seed and a step
- new_pairs.py: unlabelled pairs for distillation
"""

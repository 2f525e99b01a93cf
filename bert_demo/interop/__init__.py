"""Models of the world outside, made into this project's checkpoints, and the other way.

The files in the order in which to read them:

untrusted     care with files from elsewhere
d2l_files     the files of a checkpoint of Dive into Deep Learning
d2l           checkpoints of Dive into Deep Learning become this project's own
addresses     what people type or paste for a model of the Hub
names         what Hugging Face's BERT calls the weights
model_files   the files of a Hugging Face model, in a folder or on the Hub
hf_tokenizer  its vocabulary, and the rules in whichever of its files
hugging_face  BERT as Hugging Face keeps it becomes a checkpoint of this project
known         BERTs of the Hub that are known to work here
export        a checkpoint becomes a folder that `transformers` loads
sharing       what leaves this computer with a model, without its paths
card          the model card of a checkpoint
bundle        a checkpoint made small enough to come along with the project
errors        what goes wrong with the Hub, in one sentence
publish       a checkpoint to the Hub, and back from there
importer      models of the Hub brought into a folder that the page lists
"""

"""BERT, and how a device computes it. In the order in which to read:

bert              the model: embeddings, layers, heads
kernels           what it computes with, by whatever is fastest where the tensors are
attention         self-attention within packed sequences, by PyTorch's own operations
cross_entropy     the loss over a vocabulary, likewise
dropout           random numbers that belong to a step
compiled/         the same in C++, for CPUs
threads           a batch on several threads of a CPU
process           settings of a process that trains, made before torch is imported
checkpoint        a model as a folder
device            devices, their memory, and whether bf16 pays on them
size              parameters and memory of a model that is not built yet
"""

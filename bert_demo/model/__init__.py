"""BERT, and how a device computes it. In the order in which to read:

bert              the model: embeddings, layers, heads
kernels           what it computes with, by whatever is fastest where the tensors are
attention         self-attention within packed sequences, by PyTorch's own operations
cross_entropy     the loss over a vocabulary, likewise
dropout           random numbers that belong to a token's place in the batch
compiled/         the same in C++, for CPUs
gpu_kernels/      the same in Triton, for cards
threads           a batch on several threads of a CPU
process           settings of a process that trains, made before torch is imported
plain_json        JSON that anybody may have written, with bounds and types
folders           what the files of a checkpoint's and of a run's folder are called
rounding          a matrix in 8 bits
stored_weights    the weights in a checkpoint's file, in 32, 16 or 8 bits
checkpoint        a model as a folder
unfinished        the state of an unfinished run beside it
about             what a checkpoint says of how it came about
beginning         the weights that a model's training began with
metrics           what scores are called, what they mean, what they are measured against
fast_paths        what of a device's ways to compute is switched off, and why
device            devices, their memory, and whether bf16 pays on them
containers        how much of the machine a container may use
size              parameters and memory of a model that is not built yet
"""

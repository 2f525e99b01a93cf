"""What a layer does between its matrix products, as single kernels for a card (Triton).

PyTorch's own operations read and write a hidden state some ten times for one dropout, residual sum
and LayerNorm; and FlashAttention works on 128 queries and keys at once, where a pair of sentences
has thirty. Each function equals a plain one of `kernels` or `attention` up to rounding, but for the
numbers that dropout draws. Letters: T tokens, S sequences, H hidden size, h heads, d = H / h.

random     dropout's numbers
add_norm   dropout, residual sum and LayerNorm
attention  self-attention within short sequences
"""

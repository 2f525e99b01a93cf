"""Blocks of a training step in C++, compiled for the processor they run on. The order to read:

library              builds them once on each machine, and calls them
blocks               attention, residual and norm, activation, embeddings (attention.cpp, rows.cpp)
cross_entropy        over a vocabulary, in blocks of words (vocabulary.cpp)
tiled_cross_entropy  the same where the processor multiplies tiles (tiled_vocabulary.cpp, tiles.h)
vectors.h            what all the C++ is made of: vectors, dropout, products, threads
"""

"""New pairs of sentences for a teacher to judge, made from those that people have labelled.

A student that learns from a teacher's verdicts can read more pairs than people have labelled
(Tang et al. 2019; Jiao et al. 2020 do so with changed words). Here every sentence is one that
people wrote; only who meets whom is new. Pairs drawn blindly hardly ever have to do with each
other, so hypotheses meet premises that are alike their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from bert_demo.data import interruption
from bert_demo.data.snli import NliTexts

IntArray = npt.NDArray[np.int64]

_NEIGHBOURS = 8
_WIDTH = 512
_ROWS = 1024
_TURNED, _SIBLINGS = 0.1, 0.2


def pair_anew(texts: NliTexts, count: int, seed: int = 0) -> NliTexts:
    """`count` pairs that are not in `texts`, of its sentences; their labels are -1, unknown.

    One in ten is a labelled pair turned round, two in ten are two hypotheses about the same
    premise, the rest are a premise with a hypothesis about a similar one. No two are the same, so
    there are fewer than `count` where the sentences do not make that many.
    """
    import pyarrow as pa

    generator = np.random.Generator(np.random.PCG64(seed))
    # Every different sentence has a number.
    coded = pa.concat_arrays([texts.premises, texts.hypotheses]).dictionary_encode()
    numbers = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    premise, hypothesis = numbers[: len(texts)], numbers[len(texts) :]
    most = len(coded.dictionary)
    known = [premise * most + hypothesis]
    # Rows by scene, which is what all with one premise are about.
    premises, scene = np.unique(premise, return_inverse=True)
    by_scene = np.argsort(scene, kind="stable")
    starts = np.searchsorted(scene[by_scene], np.arange(len(premises) + 1))

    def hypothesis_of(scenes: IntArray) -> IntArray:
        offset = generator.random(len(scenes)) * (starts[scenes + 1] - starts[scenes])
        found: IntArray = hypothesis[by_scene[starts[scenes] + offset.astype(np.int64)]]
        return found

    def fresh(first: IntArray, second: IntArray, wanted: int) -> IntArray:
        """(2, n): the first n pairs that have not been seen yet, n at most `wanted`."""
        interruption.check()
        codes = first * most + second
        places = np.sort(np.unique(codes, return_index=True)[1])
        seen = np.isin(codes[places], np.concatenate(known))
        places = places[(first != second)[places] & ~seen][:wanted]
        known.append(codes[places])
        return np.stack([first[places], second[places]])

    turned = generator.permutation(len(texts))
    chosen = [fresh(hypothesis[turned], premise[turned], round(count * _TURNED))]
    wanted = round(count * _SIBLINGS)
    rows = generator.integers(0, len(texts), 2 * wanted)
    chosen.append(fresh(hypothesis[rows], hypothesis_of(scene[rows]), wanted))
    wanted = count - sum(part.shape[1] for part in chosen)
    near = _neighbours(coded.dictionary.take(pa.array(premises)), _NEIGHBOURS)
    own = scene[generator.integers(0, len(texts), 2 * wanted)]
    other = near[own, generator.integers(0, near.shape[1], len(own))]
    chosen.append(fresh(premises[own], hypothesis_of(other), wanted))
    pairs = np.concatenate(chosen, axis=1)
    return NliTexts(
        coded.dictionary.take(pa.array(pairs[0])),
        coded.dictionary.take(pa.array(pairs[1])),
        np.full(pairs.shape[1], -1, dtype=np.int8),
        0,
    )


def _neighbours(sentences: Any, count: int) -> IntArray:
    """(N, count): for each sentence the numbers of those most like it, itself left out.

    Alike by their words, rare ones counting more (tf-idf), in a random projection of the
    vocabulary: exact enough to find captions of one picture, and a matter of seconds.
    """
    import pyarrow.compute as pc

    words = pc.utf8_split_whitespace(pc.utf8_lower(sentences))
    bare = pc.replace_substring_regex(words.flatten(), r"[^\w]", "").dictionary_encode()
    ids = torch.from_numpy(bare.indices.to_numpy(zero_copy_only=False).astype(np.int64))
    lengths = np.diff(words.offsets.to_numpy(zero_copy_only=False))
    row = torch.from_numpy(np.repeat(np.arange(len(sentences)), lengths))
    seen = torch.unique(torch.stack([row, ids]), dim=1)
    found = torch.bincount(seen[1], minlength=len(bare.dictionary)).clamp_min(1)
    rarity = (len(sentences) / found).log()
    generator = torch.Generator().manual_seed(0)
    projection = torch.randn(len(rarity), _WIDTH, generator=generator) * rarity[:, None]
    vectors = torch.zeros(len(sentences), _WIDTH).index_add_(0, seen[0], projection[seen[1]])
    vectors = torch.nn.functional.normalize(vectors)
    count = min(count, len(sentences) - 1)
    nearest = []
    for start in range(0, len(vectors), _ROWS):
        interruption.check()
        alike = vectors[start : start + _ROWS] @ vectors.T
        here = torch.arange(len(alike))
        alike[here, start + here] = -2.0
        nearest.append(alike.topk(count, dim=1).indices)
    return torch.cat(nearest).numpy()

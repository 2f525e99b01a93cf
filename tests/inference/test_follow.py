"""One token followed through the network, against fill_mask, transformers and plain numpy."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.inference.predict import encode, fill_mask

VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] a crane is fly ##ing over the lake"
READ = "[CLS] a crane is fly ##ing [SEP]"
CHECKPOINTS = Path(__file__).resolve().parents[2] / "checkpoints"


@pytest.fixture(scope="module")
def small() -> Any:
    return bert_demo.load(CHECKPOINTS / "bert-small")[:2]


def test_the_last_layer_says_what_fill_mask_says(small: Any) -> None:
    text = "the <mask> was played by the <mask> in the city"
    found = fill_mask(*small, text, top=5)
    places = [i for i, t in enumerate(encode(*small, text).tokens) if t in ("<mask>", "[MASK]")]
    for place, guesses in zip(places, found, strict=True):
        last = bert_demo.follow(*small, text, place).layers[-1]
        assert [guess.token for guess in last.guesses] == [guess.token for guess in guesses]
        shares = [guess.probability for guess in guesses]
        assert [guess.probability for guess in last.guesses] == pytest.approx(shares, abs=1e-5)


def test_the_loss_at_a_token_is_that_of_guessing_it(small: Any) -> None:
    model, tokenizer = small
    words = ["the", "man", "is", "playing", "a", "guitar", "in", "the", "park"]
    for place, word in enumerate(words, 1):
        gap = " ".join([*words[: place - 1], "<mask>", *words[place:]])
        every = fill_mask(model, tokenizer, gap, top=tokenizer.vocab_size)[0]
        share = next(guess.probability for guess in every if guess.token == word)
        found = bert_demo.follow(model, tokenizer, " ".join(words), place)
        assert found.loss == pytest.approx(-math.log(share), abs=1e-3), word
    paired = bert_demo.follow(model, tokenizer, "a dog", 1, "a cat")
    assert paired.loss is not None and paired.loss > 0
    assert bert_demo.follow(model, tokenizer, "a <mask>", 2).loss is None
    assert bert_demo.follow(model, tokenizer, "a dog", 0).loss is None


def test_steps_and_neighbours_are_as_plain_calculation_has_them(small: Any) -> None:
    model, tokenizer = small
    found = bert_demo.follow(model, tokenizer, "a crane is flying", 2, "the city is old")
    states = encode(model, tokenizer, "a crane is flying", "the city is old").hidden_states
    vectors = states[:, 2].double().numpy()
    for layer in range(1, len(vectors)):
        step = np.linalg.norm(vectors[layer] - vectors[layer - 1]) / np.linalg.norm(
            vectors[layer - 1]
        )
        assert found.layers[layer].moved == pytest.approx(step, rel=1e-4)
    assert found.layers[0].moved is None and found.layers[0].attention is None
    assert found.first_length == found.tokens.index(found.tokens[-1]) + 1 < len(found.tokens)
    table = model.embeddings.word_embeddings.weight.detach().double().numpy()
    table = table - table.mean(0)
    number = tokenizer.encode("a crane")[1]
    cosines = table @ table[number] / np.linalg.norm(table, axis=1) / np.linalg.norm(table[number])
    special = {number, *tokenizer.special_ids}
    order = [i for i in np.argsort(-cosines).tolist() if i not in special][:5]
    assert [token for token, _ in found.neighbours] == tokenizer.tokens(order)
    assert [near for _, near in found.neighbours] == pytest.approx(cosines[order], abs=1e-4)


def test_the_pieces_of_a_word_stay_together(small: Any) -> None:
    tokens = encode(*small, "a zyxgrumpf is flying").tokens
    pieces = tokens[2 : tokens.index("is")]
    assert len(pieces) > 1
    for place in range(2, 2 + len(pieces)):
        assert bert_demo.follow(*small, "a zyxgrumpf is flying", place).pieces == pieces
    assert bert_demo.follow(*small, "a zyxgrumpf is flying", 0).pieces == tokens[:1]


def test_a_judge_has_no_guesses_and_no_place_is_beyond_the_text(small: Any) -> None:
    judge = bert_demo.load(CHECKPOINTS / "bert-small-snli")[:2]
    found = bert_demo.follow(*judge, "a dog", 1, "a cat")
    assert [layer.guesses for layer in found.layers] == [[]] * 7 and found.loss is None
    for place in (-1, 99, True, "1", 1.0):
        with pytest.raises(UserError, match="must be from 0 to"):
            bert_demo.follow(*small, "a dog", place)  # type: ignore[arg-type]


def test_vectors_and_attention_of_an_imported_model_are_those_of_transformers(
    tmp_path: Path,
) -> None:
    transformers = pytest.importorskip("transformers")
    words = VOCABULARY.split()
    config = transformers.BertConfig(
        vocab_size=len(words), hidden_size=24, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=20, max_position_embeddings=40, initializer_range=0.5,
        attn_implementation="eager",
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = transformers.BertForMaskedLM(config).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    (tmp_path / "theirs/vocab.txt").write_text("\n".join(words) + "\n")
    bert_demo.import_hf(tmp_path / "theirs", tmp_path / "ours")
    ours = bert_demo.load(tmp_path / "ours")[:2]
    ids = [words.index(word) for word in READ.split()]
    with torch.no_grad():
        wanted = theirs(torch.tensor([ids]), output_hidden_states=True, output_attentions=True)
    for place in (2, 4):
        found = bert_demo.follow(*ours, "a crane is flying", place)
        vectors = torch.stack([state[0, place] for state in wanted.hidden_states])
        for layer in range(1, 4):
            step = (vectors[layer] - vectors[layer - 1]).norm() / vectors[layer - 1].norm()
            assert found.layers[layer].moved == pytest.approx(float(step), abs=1e-4)
            attention = found.layers[layer].attention
            assert attention is not None
            theirs_at = wanted.attentions[layer - 1][0]
            torch.testing.assert_close(attention, theirs_at[:, place], atol=1e-5, rtol=0)
            torch.testing.assert_close(found.attentions[layer - 1], theirs_at, atol=1e-5, rtol=0)
        shares = wanted.logits[0, place].softmax(-1)
        for token, probability in found.layers[-1].guesses:
            assert probability == pytest.approx(float(shares[words.index(token)]), abs=1e-5)

"""Dropout left on while vectors are compared, against PyTorch's own encoder in train mode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.config import BertConfig
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.inference import noisy as module
from bert_demo.inference.noisy import BOOKS_RATE
from bert_demo.model import dropout
from bert_demo.model.bert import BertModel
from bert_demo.model.compiled import library

TEXTS = ["a crane is flying", "a crane driver came <sep> he just left", "the crane"]
TOKENIZER = Tokenizer.from_words(
    [*SPECIAL_TOKENS, *sorted({word for text in TEXTS for word in text.split()} - {"<sep>"})]
)
SHAPE = BertConfig(
    vocab_size=TOKENIZER.vocab_size,
    hidden_size=16,
    intermediate_size=32,
    hidden_dropout_prob=0.3,
    attention_probs_dropout_prob=0.1,
)


def a_model(**changes: Any) -> BertModel:
    dropout.seed_noise(5)
    return BertModel(replace(SHAPE, **changes)).eval()


def noisy(model: BertModel, texts: list[str] = TEXTS, **options: Any) -> Any:
    return bert_demo.compare_with_dropout(model, TOKENIZER, "crane", texts, **options)


OTHER: dict[str, Any] = {
    "norm": "before",
    "positions": "sinusoid",
    "embedding_layer_norm": True,
    "tie_word_embeddings": True,
}


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("changes", [{}, OTHER])
def test_without_dropping_it_is_the_plain_comparison(changes: dict[str, Any], layer: int) -> None:
    model = a_model(**changes)
    found = noisy(model, layer=layer, rate=0.0)
    plain = bert_demo.compare(model, TOKENIZER, "crane", TEXTS, layer=layer)
    torch.testing.assert_close(found.plain.vectors, plain.vectors)
    torch.testing.assert_close(found.vectors, torch.stack([plain.vectors] * 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.similarities, plain.similarities, atol=1e-5, rtol=0)


def test_the_seed_alone_says_what_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    model = a_model()
    first = noisy(model)
    torch.manual_seed(1)
    torch.testing.assert_close(noisy(model).vectors, first.vectors, atol=0, rtol=0)
    assert not torch.allclose(noisy(model, seed=1).vectors, first.vectors, atol=0.01)
    assert not torch.allclose(first.vectors[0], first.vectors[1], atol=0.01)
    monkeypatch.setattr(library, "serves", lambda x: False)  # as where there is no compiler
    torch.testing.assert_close(noisy(model).vectors, first.vectors, atol=1e-5, rtol=0)


def test_the_model_and_all_generators_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    model = a_model(**OTHER)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    meanwhile, compute = [], module._states

    def states(*args: Any) -> list[Tensor]:
        meanwhile.extend(part.training for part in model.modules())
        return compute(*args)

    monkeypatch.setattr(module, "_states", states)

    def drawn() -> tuple[Tensor, Tensor]:
        dropout.seed_noise(7)
        x = torch.ones(8, 8)
        first = dropout.dropout(x, 0.5, True), torch.rand(4)
        for _ in range(asked):
            noisy(model)
        return torch.stack([first[0], dropout.dropout(x, 0.5, True)]), torch.rand(4)

    asked = 0
    before = drawn()
    asked = 1
    for one, other in zip(drawn(), before, strict=True):
        assert torch.equal(one, other)
    assert meanwhile and not any(meanwhile)  # others may be asking it
    assert not any(part.training for part in model.modules())
    assert model.config == replace(SHAPE, **OTHER)
    assert all(value.requires_grad for value in model.parameters())
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert model.train() is model and noisy(model).vectors.requires_grad is False
    assert model.training


def test_dropout_is_the_model_s_own_else_the_book_s() -> None:
    own = noisy(a_model())
    assert (own.hidden_rate, own.attention_rate) == (0.3, 0.1)
    none = noisy(a_model(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    assert (none.hidden_rate, none.attention_rate) == (BOOKS_RATE, BOOKS_RATE)
    given = noisy(a_model(), rate=0.5)
    assert (given.hidden_rate, given.attention_rate) == (0.5, 0.5)
    with pytest.raises(UserError, match=r"hidden_dropout_prob is 1\.0"):
        noisy(a_model(), rate=1.0)
    with pytest.raises(UserError, match="two or more texts"):
        noisy(a_model(), TEXTS[:1])


def test_on_average_it_is_pytorch_s_own_encoder_in_train_mode() -> None:
    model, draws = a_model(), 600
    layers = nn.Sequential(*(torch_layer(layer, SHAPE) for layer in model.layers)).train()
    text, other = "a crane is flying", "the crane"
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = []
        for words in (text, other):
            ids = torch.tensor([TOKENIZER.encode_pair(words, max_length=16).input_ids])
            tables = model.embeddings
            x = tables.word_embeddings.weight[ids] + tables.token_type_embeddings.weight[0]
            x = x + tables.position_embeddings.weight[: ids.shape[1]]
            expected.append(layers(x.expand(draws, -1, -1))[:, 2])  # <cls> a crane, <cls> the crane
    half = draws // 2
    found = noisy(model, [text] * half + [other] * half)
    for i, vectors in enumerate(expected):
        own = found.vectors[:, i * half : (i + 1) * half].flatten(0, 1)
        error = (own.std(0) + vectors.std(0)) / draws**0.5
        assert ((own.mean(0) - vectors.mean(0)).abs() < 4 * error).all()
        torch.testing.assert_close(own.std(0), vectors.std(0), rtol=0.15, atol=0)
    for i in range(2):
        similar = nn.functional.cosine_similarity(expected[0][:half], expected[i][half:])
        block = found.similarities[:half, i * half : (i + 1) * half]
        assert float(block.mean()) == pytest.approx(float(similar.mean()), abs=0.02)


def torch_layer(layer: Any, config: BertConfig) -> nn.TransformerEncoderLayer:
    """A layer of the book's model as PyTorch has it, with the same weights."""
    same = nn.TransformerEncoderLayer(
        config.hidden_size,
        config.num_attention_heads,
        config.intermediate_size,
        config.hidden_dropout_prob,
        batch_first=True,
    )
    same.self_attn.dropout = config.attention_probs_dropout_prob
    same.dropout.p = 0.0  # inside the feed-forward net, where BERT drops nothing
    assert same.self_attn.in_proj_weight is not None
    with torch.no_grad():
        same.self_attn.in_proj_weight.copy_(layer.qkv.weight)
        same.self_attn.in_proj_bias.copy_(layer.qkv.bias)
    same.self_attn.out_proj.load_state_dict(layer.attention_output.state_dict())
    same.linear1.load_state_dict(layer.intermediate.state_dict())
    same.linear2.load_state_dict(layer.output.state_dict())
    same.norm1.load_state_dict(layer.attention_norm.state_dict())
    same.norm2.load_state_dict(layer.output_norm.state_dict())
    return same

"""The packed model against padded ones: the plain formulas, the book's numbers, Hugging Face's."""

from __future__ import annotations

import gc
import json
import math
import os
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from bert_demo.config import BertConfig, model_config
from bert_demo.data.packing import PackedBatch, pack, unpack
from bert_demo.interop.d2l import import_d2l
from bert_demo.model import checkpoint
from bert_demo.model.bert import BertModel

BOOK = BertConfig(
    vocab_size=50,
    hidden_size=12,
    num_hidden_layers=3,
    num_attention_heads=3,
    intermediate_size=20,
    max_position_embeddings=16,
)
BERT = replace(BOOK, hidden_act="gelu", embedding_layer_norm=True, layer_norm_eps=1e-12)
BEFORE = replace(BERT, norm="before")
SINES = replace(BERT, positions="sinusoid")
LENGTHS = (7, 16, 3, 7, 1, 12)  # out of order, two alike, the longest and the shortest

Sequence = tuple[list[int], list[int]]


def sequences(vocab_size: int = 50) -> list[Sequence]:
    generator = torch.Generator().manual_seed(4)
    return [
        (
            torch.randint(vocab_size, (length,), generator=generator).tolist(),
            [int(place > length // 2) for place in range(length)],
        )
        for length in LENGTHS
    ]


def random_model(config: BertConfig, task: str = "pretraining") -> BertModel:
    """With LayerNorms and biases that are not the identity, as after training."""
    torch.manual_seed(0)
    model = BertModel(config, task)
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() == 1:
                value += 0.1 * torch.randn_like(value)
    return model.eval()


def padded(items: list[Sequence]) -> tuple[Tensor, Tensor, Tensor]:
    """(input_ids, token_type_ids, attention_mask), each (B, L)."""
    longest = max(len(ids) for ids, _ in items)
    rows = [
        (ids + [1] * (longest - len(ids)), types + [0] * (longest - len(ids)))
        for ids, types in items
    ]
    mask = torch.tensor([[place < len(ids) for place in range(longest)] for ids, _ in items])
    return torch.tensor([r[0] for r in rows]), torch.tensor([r[1] for r in rows]), mask


def exact_weights(model: BertModel) -> dict[str, Tensor]:
    return {name: value.detach().double() for name, value in model.state_dict().items()}


def reference_states(
    config: BertConfig, w: dict[str, Tensor], items: list[Sequence]
) -> list[Tensor]:
    """A padded encoder with weights `w`, post-norm (Vaswani et al. 2017) or pre-norm (Xiong et al.
    2020, figure 1), from its formulas.

    Gives the embeddings and every layer's output, (B, L, H).
    """
    input_ids, token_type_ids, mask = padded(items)
    act = F.relu if config.hidden_act == "relu" else F.gelu

    def linear(x: Tensor, name: str) -> Tensor:
        return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])

    def norm(x: Tensor, name: str) -> Tensor:
        weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
        return F.layer_norm(x, (config.hidden_size,), weight, bias, config.layer_norm_eps)

    x = w["embeddings.word_embeddings.weight"][input_ids]
    x = x + w["embeddings.token_type_embeddings.weight"][token_type_ids]
    x = x + w["embeddings.position_embeddings.weight"][: input_ids.shape[1]]
    if config.embedding_layer_norm:
        x = norm(x, "embeddings.norm")
    states = [x]
    for number in range(config.num_hidden_layers):
        name = f"layers.{number}"
        before = config.norm == "before"
        read = norm(x, f"{name}.attention_norm") if before else x
        heads = []
        for q, k, v in zip(
            *(
                part.split(config.head_size, dim=-1)
                for part in linear(read, f"{name}.qkv").chunk(3, dim=-1)
            ),
            strict=True,
        ):
            scores = q @ k.transpose(1, 2) / math.sqrt(config.head_size)
            scores = scores.masked_fill(~mask[:, None, :], -math.inf)
            heads.append(scores.softmax(-1) @ v)
        mixed = linear(torch.cat(heads, dim=-1), f"{name}.attention_output")
        if before:
            x = x + mixed
            inner = act(linear(norm(x, f"{name}.output_norm"), f"{name}.intermediate"))
            x = x + linear(inner, f"{name}.output")
        else:
            x = norm(x + mixed, f"{name}.attention_norm")
            inner = act(linear(x, f"{name}.intermediate"))
            x = norm(x + linear(inner, f"{name}.output"), f"{name}.output_norm")
        states.append(x)
    if config.norm == "before":
        states[-1] = norm(x, "final_norm")
    return states


@pytest.mark.parametrize(
    "config", [BOOK, BERT, BEFORE, SINES], ids=["book", "bert", "before", "sines"]
)
def test_packing_computes_what_padding_and_a_mask_compute(config: BertConfig) -> None:
    model, items = random_model(config), sequences()
    batch = pack(items)
    states = reference_states(config, exact_weights(model), items)
    with torch.no_grad():
        fast, inside = model(batch), model.look_inside(batch)
    for expected, found in zip(states, inside.hidden_states, strict=True):
        for row, mine in zip(expected, unpack(found, batch), strict=True):
            torch.testing.assert_close(mine.double(), row[: len(mine)], atol=3e-6, rtol=1e-5)
    torch.testing.assert_close(fast, inside.hidden_states[-1], atol=3e-6, rtol=1e-5)


def test_the_company_in_a_batch_changes_nothing() -> None:
    model, items = random_model(BOOK), sequences()
    batch = pack(items)
    with torch.no_grad():
        together = unpack(model(batch), batch)
        alone = [model(pack([item])) for item in items]
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, atol=2e-6, rtol=1e-5)


def test_gradients_are_those_of_the_padded_model() -> None:
    model, items = random_model(BOOK), sequences()
    batch = pack(items)
    loss = sum((part**3).sum() for part in unpack(model(batch), batch))
    assert isinstance(loss, Tensor)
    names = [name for name, _ in model.named_parameters() if name.startswith(("layers", "emb"))]
    found = torch.autograd.grad(loss, [model.get_parameter(name) for name in names])

    exact = exact_weights(model)
    leaves = [exact[name].requires_grad_() for name in names]
    states = reference_states(BOOK, exact, items)
    mask = padded(items)[2]
    expected = torch.autograd.grad((states[-1][mask] ** 3).sum(), leaves)
    for name, mine, theirs in zip(names, found, expected, strict=True):
        worst = float((mine - theirs).abs().max() / theirs.abs().max().clamp_min(1e-3))
        assert worst < 1e-4, name


@pytest.mark.parametrize("config", [BERT, BEFORE], ids=["bert", "before"])
def test_chosen_positions_are_rows_of_the_whole(config: BertConfig) -> None:
    model = random_model(config)
    batch = pack(sequences())
    positions = torch.tensor([5, 0, 31, 31, 45])
    with torch.no_grad():
        whole = model(batch)
        torch.testing.assert_close(model(batch, positions), whole[positions], atol=1e-6, rtol=1e-6)
        cls = model(batch, batch.cls_positions)
    firsts = [part[0] for part in unpack(whole, batch)]
    ordered = torch.stack([firsts[number] for number in batch.order])
    torch.testing.assert_close(cls, ordered, atol=1e-6, rtol=1e-6)


def test_attention_weights_sum_to_one_and_are_not_kept() -> None:
    model, items = random_model(BOOK), sequences()
    batch = pack(items)
    with torch.no_grad():
        inside = model.look_inside(batch)
    assert len(inside.attentions) == BOOK.num_hidden_layers
    for layer in inside.attentions:
        assert [tuple(w.shape) for w in layer] == [(3, n, n) for n in LENGTHS]
        for weights in layer:
            assert float(weights.min()) >= 0
            torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))
    known = {id(value) for value in model.parameters()}
    last = weakref.ref(inside.attentions[-1][0])
    del inside, layer, weights
    gc.collect()
    assert last() is None
    for module in model.modules():
        held = [value for value in vars(module).values() if isinstance(value, Tensor)]
        assert all(id(value) in known for value in held)


def expected_parameters(config: BertConfig, pretraining: bool) -> int:
    h, f, v = config.hidden_size, config.intermediate_size, config.vocab_size
    embeddings = (v + config.type_vocab_size + config.max_position_embeddings) * h
    embeddings += 2 * h * config.embedding_layer_norm
    layer = 4 * (h * h + h) + (h * f + f) + (f * h + h) + 2 * 2 * h
    pooler = h * h + h
    decoder = v if config.tie_word_embeddings else v * h + v
    heads = (h * h + h) + 2 * h + decoder + (2 * h + 2) if pretraining else 3 * h + 3
    return embeddings + config.num_hidden_layers * layer + pooler + heads


@pytest.mark.parametrize("recipe", ["d2l", "recommended"])
@pytest.mark.parametrize("size", ["tiny", "small", "base", "large"])
def test_parameters_are_as_many_as_the_formulas_say(size: str, recipe: str) -> None:
    config = model_config(size, recipe, 30522)
    for task in ("pretraining", "nli"):
        with torch.device("meta"):
            model = BertModel(config, task)
        count = sum(value.numel() for value in model.parameters())
        assert count == expected_parameters(config, task == "pretraining")


def test_base_is_as_large_as_bert_is_known_to_be() -> None:
    config = model_config("base", "recommended", 30522)
    with torch.device("meta"):
        model = BertModel(config)
    parts = (model.embeddings, model.layers, model.pooler)
    encoder = sum(value.numel() for part in parts for value in part.parameters())
    assert encoder == 109_482_240  # Hugging Face's bert-base-uncased, without heads


def test_a_tied_output_matrix_is_one_with_the_embeddings() -> None:
    tied = random_model(replace(BERT, tie_word_embeddings=True))
    assert tied.mlm.decoder_weight is tied.embeddings.word_embeddings.weight
    names = {name for name, _ in tied.named_parameters()}
    assert "mlm.decoder_weight" not in names
    batch = pack(sequences())
    loss = tied.mlm.loss_sum(tied(batch), batch.input_ids)
    (both,) = torch.autograd.grad(loss, tied.embeddings.word_embeddings.weight)

    free = random_model(BERT)
    free.load_state_dict(tied.state_dict())
    assert free.mlm.decoder_weight is not free.embeddings.word_embeddings.weight
    parts = torch.autograd.grad(
        free.mlm.loss_sum(free(batch), batch.input_ids),
        (free.embeddings.word_embeddings.weight, free.mlm.decoder_weight),
    )
    torch.testing.assert_close(both, sum(parts), atol=1e-5, rtol=1e-4)


def test_the_masked_lm_loss_is_the_cross_entropy_of_the_logits() -> None:
    model, batch = random_model(BOOK), pack(sequences())
    positions = torch.tensor([1, 8, 20, 33])
    labels = torch.tensor([3, 1, 4, 1])
    vectors = model(batch, positions)
    expected = F.cross_entropy(model.mlm(vectors), labels, reduction="sum")
    torch.testing.assert_close(model.mlm.loss_sum(vectors, labels), expected)


@pytest.mark.parametrize("std", [0.0, 0.02])
def test_initialisation_is_the_recipes_own(std: float) -> None:
    torch.manual_seed(1)
    config = BertConfig(vocab_size=3000, hidden_size=64, initializer_range=std)
    model = BertModel(config).requires_grad_(False)
    words, dense = model.embeddings.word_embeddings.weight, model.layers[0].qkv
    if std:
        for value in (words, dense.weight, model.mlm.decoder_weight):
            assert float(value.std()) == pytest.approx(std, rel=0.05)
        assert not dense.bias.any() and not model.mlm.decoder_bias.any()
    else:
        assert float(words.std()) == pytest.approx(1, rel=0.05)
        bound = 1 / math.sqrt(64)  # uniform, as PyTorch's Linear
        assert bound * 0.95 < float(dense.weight.abs().max()) <= bound
        assert bound * 0.95 < float(model.mlm.decoder_weight.abs().max()) <= bound


def test_dropout_is_at_work_in_training_only() -> None:
    model, batch = random_model(replace(BERT, hidden_dropout_prob=0.5)), pack(sequences())
    with torch.no_grad():
        assert torch.equal(model(batch), model(batch))
        model.train()
        assert not torch.equal(model(batch), model(batch))


Book = tuple[checkpoint.Checkpoint, dict[str, Any], dict[str, Tensor]]
NEAR = {"atol": 2e-5, "rtol": 0.0}  # asked for: 1e-4


@pytest.fixture(scope="module")
def book(d2l_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Book:
    out = tmp_path_factory.mktemp("book") / "small"
    import_d2l(d2l_checkpoint / "bert.small.torch.zip", out)
    about = (d2l_checkpoint / "bert.small.expected.json").read_text(encoding="utf-8")
    numbers = load_file(d2l_checkpoint / "bert.small.expected.safetensors")
    return checkpoint.load(out), json.loads(about), numbers


def test_the_books_encodings_and_logits_are_met(book: Book) -> None:
    (model, tokenizer, _), about, expected = book
    for case in about["cases"]:
        name, second = case["name"], case["tokens_b"]
        encoded = tokenizer.encode_pair(
            " ".join(case["tokens_a"]), None if second is None else " ".join(second), max_length=64
        )
        assert encoded.input_ids == expected[f"{name}.input_ids"].tolist()
        assert encoded.token_type_ids == expected[f"{name}.segment_ids"].tolist()
        with torch.no_grad():
            vectors = model(pack([(encoded.input_ids, encoded.token_type_ids)]))
            logits, nsp = model.mlm(vectors[2:4]), model.nsp_logits(vectors[:1])[0]
        torch.testing.assert_close(vectors, expected[f"{name}.encoded"], **NEAR)
        torch.testing.assert_close(logits, expected[f"{name}.mlm_logits_at_2_3"], **NEAR)
        torch.testing.assert_close(nsp, expected[f"{name}.nsp_logits"], **NEAR)


def book_batch(expected: dict[str, Tensor]) -> tuple[list[Sequence], PackedBatch]:
    lengths = expected["batch.valid_lens"].int().tolist()
    ids, types = expected["batch.input_ids"].tolist(), expected["batch.segment_ids"].tolist()
    items = [(i[:n], t[:n]) for i, t, n in zip(ids, types, lengths, strict=True)]
    return items, pack(items)


def test_the_books_padded_batch_is_met_without_padding(book: Book) -> None:
    (model, _, _), _, expected = book
    _, batch = book_batch(expected)
    with torch.no_grad():
        vectors = model(batch)
        rows = unpack(vectors, batch)
        for found, wanted in zip(rows, expected["batch.encoded"], strict=True):
            torch.testing.assert_close(found, wanted[: len(found)], **NEAR)

        real = expected["batch.mlm_weights"].bool()
        where = expected["batch.pred_positions"].long()
        chosen = torch.cat([row[w[r]] for row, w, r in zip(rows, where, real, strict=True)])
        labels = expected["batch.mlm_labels"][real]
        torch.testing.assert_close(model.mlm(chosen), expected["batch.mlm_logits"][real], **NEAR)
        loss = model.mlm.loss_sum(chosen, labels) / len(labels)
        torch.testing.assert_close(loss, expected["batch.mlm_loss"][0], **NEAR)

        nsp = model.nsp_logits(torch.stack([row[0] for row in rows]))
        torch.testing.assert_close(nsp, expected["batch.nsp_logits"], **NEAR)
        nsp_loss = F.cross_entropy(nsp, expected["batch.nsp_labels"])
        torch.testing.assert_close(nsp_loss, expected["batch.nsp_loss"][0], **NEAR)


def test_the_books_classifier_is_met(book: Book) -> None:
    (pretrained, _, config), _, expected = book
    model = BertModel(config, "nli").eval()
    state = {k: v for k, v in pretrained.state_dict().items() if not k.startswith(("mlm", "nsp"))}
    state |= {f"classifier.{k}": expected[f"classifier.{k}"] for k in ("weight", "bias")}
    model.load_state_dict(state)
    items, _ = book_batch(expected)
    batch = pack(items)
    with torch.no_grad():
        logits = model.nli_logits(model(batch, batch.cls_positions))
    ordered = torch.empty_like(logits)
    ordered[torch.from_numpy(batch.order)] = logits
    torch.testing.assert_close(ordered, expected["classifier.logits"], **NEAR)


def test_hugging_faces_numbers_are_met(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "HF_HUB_OFFLINE", "1")
    transformers = pytest.importorskip("transformers")
    model = random_model(BERT)
    theirs = transformers.BertForPreTraining(
        transformers.BertConfig(
            vocab_size=BERT.vocab_size,
            hidden_size=BERT.hidden_size,
            num_hidden_layers=BERT.num_hidden_layers,
            num_attention_heads=BERT.num_attention_heads,
            intermediate_size=BERT.intermediate_size,
            max_position_embeddings=BERT.max_position_embeddings,
            hidden_act="gelu",
            layer_norm_eps=1e-12,
            tie_word_embeddings=False,
            attn_implementation="eager",
        )
    ).eval()
    with torch.no_grad():
        for value in theirs.parameters():
            value.normal_(std=0.3)
    model.load_state_dict(_from_hugging_face(theirs.state_dict(), BERT.num_hidden_layers))
    items = sequences()
    input_ids, token_type_ids, mask = padded(items)
    batch = pack(items)
    with torch.no_grad():
        wanted = theirs(
            input_ids=input_ids,
            token_type_ids=token_type_ids,
            attention_mask=mask.long(),
            output_hidden_states=True,
            output_attentions=True,
        )
        inside = model.look_inside(batch)
        nsp = model.nsp_logits(inside.hidden_states[-1][batch.cls_positions])
    for ours, other in zip(inside.hidden_states, wanted.hidden_states, strict=True):
        for mine, row in zip(unpack(ours, batch), other, strict=True):
            torch.testing.assert_close(mine, row[: len(mine)], atol=1e-5, rtol=1e-4)
    for layer, other in zip(inside.attentions, wanted.attentions, strict=True):
        for mine, row in zip(layer, other, strict=True):
            n = mine.shape[-1]
            torch.testing.assert_close(mine, row[:, :n, :n], atol=1e-6, rtol=1e-4)
    order = torch.from_numpy(batch.order)
    # "Is next" is Hugging Face's class 0 and the book's class 1; the mapping swapped them.
    torch.testing.assert_close(
        nsp, wanted.seq_relationship_logits[order].flip(1), atol=1e-5, rtol=1e-4
    )
    with torch.no_grad():
        logits = unpack(model.mlm(inside.hidden_states[-1]), batch)
    for mine, row in zip(logits, wanted.prediction_logits, strict=True):
        torch.testing.assert_close(mine, row[: len(mine)], atol=2e-5, rtol=1e-4)


def _from_hugging_face(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    names = {
        "bert.embeddings.word_embeddings": "embeddings.word_embeddings",
        "bert.embeddings.token_type_embeddings": "embeddings.token_type_embeddings",
        "bert.embeddings.position_embeddings": "embeddings.position_embeddings",
        "bert.embeddings.LayerNorm": "embeddings.norm",
        "bert.pooler.dense": "pooler",
        "cls.predictions.transform.dense": "mlm.dense",
        "cls.predictions.transform.LayerNorm": "mlm.norm",
    }
    weights = {
        "mlm.decoder_weight": state["cls.predictions.decoder.weight"],
        "mlm.decoder_bias": state["cls.predictions.decoder.bias"],
        "nsp.weight": state["cls.seq_relationship.weight"].flip(0),
        "nsp.bias": state["cls.seq_relationship.bias"].flip(0),
    }
    for number in range(layers):
        theirs, ours = f"bert.encoder.layer.{number}", f"layers.{number}"
        names |= {
            f"{theirs}.attention.output.dense": f"{ours}.attention_output",
            f"{theirs}.attention.output.LayerNorm": f"{ours}.attention_norm",
            f"{theirs}.intermediate.dense": f"{ours}.intermediate",
            f"{theirs}.output.dense": f"{ours}.output",
            f"{theirs}.output.LayerNorm": f"{ours}.output_norm",
        }
        for kind in ("weight", "bias"):
            parts = (f"{theirs}.attention.self.{p}.{kind}" for p in ("query", "key", "value"))
            weights[f"{ours}.qkv.{kind}"] = torch.cat([state[part] for part in parts])
    for theirs, ours in names.items():
        for kind in ("weight", "bias"):
            if f"{theirs}.{kind}" in state:
                weights[f"{ours}.{kind}"] = state[f"{theirs}.{kind}"]
    return weights

"""Random models of `transformers` in folders, as `import-hf` meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from bert_demo.common.errors import UserError
from bert_demo.data.packing import pack
from bert_demo.interop.hugging_face import import_hf

transformers = pytest.importorskip("transformers")

NEAR = {"atol": 2e-5, "rtol": 0.0}  # asked for: 1e-4
_VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] a b c ##a ##b ##c crane ##s fly ##ing cafe naive É
café Crane 東 京 ! . , ' - ½ ß ss ##ß 🙂 한 ##ᅡ 국 é ##é i \u0131 ̇ $ @ x xx ##x ##xx ﬁ fi ##i ##n"""
PIECES = _VOCABULARY.split()
TEXTS = [
    "A crane is flying, isn't it? $5.00@home",
    "naïve café CAFÉ É Crane cranes flying",
    "東京タワー東 京 in 한국 한국",
    "🙂🙂 a🙂b \u200bzero\u00adwidth \ufeff½ ﬁ ß İstanbul \u0131",
    "x" * 100 + " " + "x" * 101 + " " + "xx" * 40,
    "[CLS] typed <sep> text [UNK] ##s",
    "tabs\tand\nlines\r\nand\u3000wide\u2028spaces\u00a0here",
]


def hf_config(**changes: Any) -> Any:
    values = {
        "vocab_size": len(PIECES),
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 20,
        "max_position_embeddings": 40,
        "initializer_range": 0.5,  # so that no mistake hides in small numbers
    }
    return transformers.BertConfig(**values | changes)


def hf_model(kind: str = "BertForPreTraining", seed: int = 0, **changes: Any) -> Any:
    """A random model of one of their classes, biases and norms included."""
    torch.manual_seed(seed)
    model = getattr(transformers, kind)(hf_config(**changes)).eval()
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() == 1:
                value.add_(torch.randn_like(value) * 0.2)
    return model


def write_vocabulary(folder: Path, *, fast: bool = False, **rules: Any) -> Any:
    """A vocabulary beside a model, in one of its two forms; returns their tokenizer."""
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", **rules}), encoding="utf-8"
    )
    theirs = transformers.BertTokenizer.from_pretrained(folder)
    if fast:
        theirs.save_pretrained(folder)
        (folder / "vocab.txt").unlink(missing_ok=True)
        assert (folder / "tokenizer.json").is_file()
    return theirs


def saved(folder: Path, model: Any, **rules: Any) -> Path:
    model.save_pretrained(folder)
    write_vocabulary(folder, **rules)
    return folder


def sequences(vocabulary: int = len(PIECES), types: int = 2) -> list[tuple[list[int], list[int]]]:
    draw = torch.Generator().manual_seed(5)
    lengths = [9, 40, 3, 17]
    items = []
    for length in lengths:
        ids = torch.randint(vocabulary, (length,), generator=draw).tolist()
        items.append((ids, [0] * 3 + [types - 1] * (length - 3)))
    return items


def assert_same_numbers(model: Any, theirs: Any) -> None:
    """All hidden states, the pooled vector and all heads, one sequence after the other."""
    for ids, types in sequences(types=model.config.type_vocab_size):
        with torch.no_grad():
            expected = theirs(
                input_ids=torch.tensor([ids]),
                token_type_ids=torch.tensor([types]),
                output_hidden_states=True,
            )
            output = model.look_inside(pack([(ids, types)]))
            last = output.hidden_states[-1]
            for ours, other in zip(output.hidden_states, expected.hidden_states, strict=True):
                torch.testing.assert_close(ours, other[0], **NEAR)
            if model.task == "encoder" and expected.get("pooler_output") is not None:
                torch.testing.assert_close(model.pooled(last[:1]), expected.pooler_output, **NEAR)
            mlm = expected.get("prediction_logits", expected.get("logits"))
            if model.task == "pretraining":
                torch.testing.assert_close(model.mlm(last), mlm[0], **NEAR)
            if "seq_relationship_logits" in expected:
                nsp = model.nsp_logits(last[:1])
                torch.testing.assert_close(nsp.flip(1), expected.seq_relationship_logits, **NEAR)


def complaint(source: Path | str, folder: Path) -> str:
    """The one sentence that importing answers with; nothing may be left behind."""
    with pytest.raises(UserError) as caught:
        import_hf(source, folder / "refused")
    text = str(caught.value)
    assert "\n" not in text and len(text) < 500 and text.endswith(".")
    assert not (folder / "refused").exists()
    return text

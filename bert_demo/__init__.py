"""A BERT that a class trains, probes and argues with.

`import bert_demo` is cheap; each name below is imported from its own module when it is used:

    import bert_demo
    model, tokenizer, config = bert_demo.load("my-checkpoint")
    bert_demo.encode(model, tokenizer, "a crane is flying").vectors.shape
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from bert_demo.config import VERSION

if TYPE_CHECKING:
    from bert_demo.common.errors import UserError
    from bert_demo.config import BertConfig, RunConfig, TrainingConfig
    from bert_demo.data.own_pairs import take_pairs
    from bert_demo.data.own_report import text_report
    from bert_demo.data.own_text import take_text
    from bert_demo.data.tokenizer import Tokenizer
    from bert_demo.inference.attributions import attribute
    from bert_demo.inference.contexts import compare
    from bert_demo.inference.evaluation import evaluate
    from bert_demo.inference.failures import find_failures
    from bert_demo.inference.flips import try_edits
    from bert_demo.inference.follow import follow
    from bert_demo.inference.moved import moved
    from bert_demo.inference.noisy import compare_with_dropout
    from bert_demo.inference.occurrences import occurrences
    from bert_demo.inference.predict import classify, encode, fill_mask
    from bert_demo.interop.d2l import import_d2l
    from bert_demo.interop.export import export_hf
    from bert_demo.interop.hugging_face import import_hf
    from bert_demo.model.bert import BertModel
    from bert_demo.model.checkpoint import load, save
    from bert_demo.training.against import against
    from bert_demo.training.loop import train
    from bert_demo.training.range_test import find_rate
    from bert_demo.training.slow_step import slow_step

__version__ = VERSION

__all__ = [
    "BertConfig",
    "BertModel",
    "RunConfig",
    "Tokenizer",
    "TrainingConfig",
    "UserError",
    "__version__",
    "against",
    "attribute",
    "classify",
    "compare",
    "compare_with_dropout",
    "encode",
    "evaluate",
    "export_hf",
    "fill_mask",
    "find_failures",
    "find_rate",
    "follow",
    "import_d2l",
    "import_hf",
    "load",
    "moved",
    "occurrences",
    "save",
    "slow_step",
    "take_pairs",
    "take_text",
    "text_report",
    "train",
    "try_edits",
]

_HOME = {
    "load": "model.checkpoint",
    "save": "model.checkpoint",
    "BertConfig": "config",
    "RunConfig": "config",
    "TrainingConfig": "config",
    "UserError": "common.errors",
    "import_d2l": "interop.d2l",
    "export_hf": "interop.export",
    "import_hf": "interop.hugging_face",
    "BertModel": "model.bert",
    "attribute": "inference.attributions",
    "follow": "inference.follow",
    "moved": "inference.moved",
    "occurrences": "inference.occurrences",
    "try_edits": "inference.flips",
    "classify": "inference.predict",
    "compare": "inference.contexts",
    "compare_with_dropout": "inference.noisy",
    "encode": "inference.predict",
    "evaluate": "inference.evaluation",
    "find_failures": "inference.failures",
    "fill_mask": "inference.predict",
    "Tokenizer": "data.tokenizer",
    "take_pairs": "data.own_pairs",
    "take_text": "data.own_text",
    "text_report": "data.own_report",
    "train": "training.loop",
    "against": "training.against",
    "find_rate": "training.range_test",
    "slow_step": "training.slow_step",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bert_demo' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"bert_demo.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))

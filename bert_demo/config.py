"""Every setting of the project, named once.

The command line's flags and the page's forms are made from these dataclasses (see
`common.fields`), so a setting's name, range and hint have one home. All are frozen; a wrong
value raises `UserError`: one sentence that names the value and what would be right.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bert_demo.common.corpus_names import CORPORA, NLI_CORPORA, PRETRAINING_CORPORA, own_task
from bert_demo.common.errors import Text, UserError
from bert_demo.common.fields import check, check_choice, from_dict, setting, settings_of

VERSION = "0.1.0"

LABELS = ("entailment", "neutral", "contradiction")
"""The one order of natural language inference labels: 0, 1, 2, as SNLI has it on the Hub."""

TASKS = ("pretraining", "nli", "encoder")
"""What a model can be for; an encoder has no heads."""

MODEL_SIZES = ("tiny", "small", "base", "large")
RECIPES = ("d2l", "recommended")
ON_OFF = ("on", "off")
NORMS = ("after", "before")
POSITIONS = ("learned", "sinusoid", "none")
WORD_VECTORS = ("random", "counted")
MASKINGS = ("dynamic", "static")
ACTIVATIONS = ("relu", "gelu")


@dataclass(frozen=True)
class BertConfig:
    """The shape of a model. Defaults are the book's pretraining model (D2L 15.10), "tiny"."""

    vocab_size: int = setting(20256, "How many different tokens the model knows", low=6, high=10**6)
    hidden_size: int = setting(128, "Width of every token's vector", low=2, high=4096)
    num_hidden_layers: int = setting(2, "How many encoder blocks are stacked", low=1, high=48)
    num_attention_heads: int = setting(2, "Attention heads in each block", low=1, high=64)
    intermediate_size: int = setting(256, "Width inside the feed-forward net", low=2, high=16384)
    max_position_embeddings: int = setting(512, "Longest sequence in tokens", low=8, high=4096)
    type_vocab_size: int = setting(2, "Segments that are told apart", low=1, high=16)
    hidden_dropout_prob: float = setting(0.1, "Share of activations dropped", low=0.0, high=0.9)
    attention_probs_dropout_prob: float = setting(
        0.1, "Share of attention weights dropped", low=0.0, high=0.9
    )
    hidden_act: str = setting(
        "relu", "Non-linearity: the book's relu or BERT's gelu", choices=ACTIVATIONS
    )
    norm: str = setting(
        "after", "LayerNorm after each residual sum, or before each sublayer", choices=NORMS
    )
    positions: str = setting(
        "learned",
        "What a token knows of its place: a learnt table, sines, nothing",
        choices=POSITIONS,
    )
    embedding_layer_norm: bool = setting(
        False, "Normalise (and drop) the sum of the embeddings, as BERT does and the book does not"
    )
    tie_word_embeddings: bool = setting(
        False, "Use the token embeddings as the output matrix too, as BERT does"
    )
    layer_norm_eps: float = setting(1e-5, "Added to the variance in LayerNorm", low=0.0, high=0.1)
    initializer_range: float = setting(
        0.0,
        "Standard deviation of BERT's normal initialisation; 0 is the book's (PyTorch's own)",
        low=0.0,
        high=1.0,
    )

    def __post_init__(self) -> None:
        check(self)
        if self.hidden_size % self.num_attention_heads:
            raise UserError(
                "hidden_size {hidden_size} does not divide by num_attention_heads "
                "{num_attention_heads}; each head needs the same whole share.",
                hidden_size=self.hidden_size,
                num_attention_heads=self.num_attention_heads,
            )

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads


_SIZES = {
    "tiny": (2, 128, 2, 256),
    "small": (2, 256, 4, 512),
    "base": (12, 768, 12, 3072),
    "large": (24, 1024, 16, 4096),
}


def model_config(size: str, recipe: str, vocab_size: int, **overrides: Any) -> BertConfig:
    """A preset size under a recipe's architecture.

    "d2l" is the book's model to the letter (15.8.4); "recommended" is BERT's own embedding
    LayerNorm, GELU, initialisation (Devlin et al. 2019) and an output matrix tied to the
    embeddings (Press and Wolf 2017), which a short run learns from much faster.
    """
    check_choice("model", size, MODEL_SIZES)
    check_choice("recipe", recipe, RECIPES)
    layers, hidden, heads, intermediate = _SIZES[size]
    values: dict[str, Any] = {
        "vocab_size": vocab_size,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": intermediate,
    }
    if recipe == "d2l":
        # The book drops 0.2 when it pretrains its own small run, 0.1 in its released models.
        rate = 0.2 if size == "tiny" else 0.1
        values |= {"hidden_dropout_prob": rate, "attention_probs_dropout_prob": rate}
    else:
        # Runs of minutes never see a text often enough to overfit: dropout only slows them. In
        # longer ones of "small" it may begin on the way (training/late_dropout.py).
        rate = 0.0 if size in ("tiny", "small") else 0.1
        values |= {
            "hidden_dropout_prob": rate,
            "attention_probs_dropout_prob": rate,
            "hidden_act": "gelu",
            "embedding_layer_norm": True,
            "tie_word_embeddings": True,
            "layer_norm_eps": 1e-12,
            "initializer_range": 0.02,
        }
    values |= {name: value for name, value in overrides.items() if value is not None}
    return BertConfig(**values)


_BATCH_SIZES = {"d2l": 512, "recommended": 256}


@dataclass(frozen=True)
class TrainingConfig:
    """One run of the loop, whatever its task. Budget: the first limit that is reached ends it."""

    recipe: str = setting(
        "recommended", "d2l is the book's way; recommended learns fastest", choices=RECIPES
    )
    steps: int | None = setting(None, "Stop after this many steps", low=1, high=10_000_000)
    epochs: float | None = setting(
        None, "Stop after this many passes over the data", low=0.001, high=10_000
    )
    budget_seconds: float | None = setting(
        None, "Stop after this many seconds of training", low=0.5, high=30 * 86400
    )
    batch_size: int = setting(
        None,
        "Sentence pairs in one step; empty means the recipe's own: 512 as in the book, or 256",
        low=1,
        high=65536,
    )
    gradient_accumulation_steps: int = setting(
        1, "Split each step's batch into this many parts to save memory", low=1, high=1024
    )
    max_length: int = setting(64, "Longest pair in tokens, special ones included", low=8, high=1024)
    truncation: str = setting(
        "longest_first",
        "What happens to a pair that is too long: cut the longer text, cut both and keep the "
        "ratio of lengths, or (in pretraining) drop the pair, as the book does",
        choices=("longest_first", "ratio", "drop"),
    )
    learning_rate: float | None = setting(
        None, "Size of one step; empty means the recipe's own; 0.1 is extremely high", low=0, high=1
    )
    seed: int = setting(0, "Same seed, same run (on a CPU)", low=0, high=2**31 - 1)
    validate_every_steps: int | None = setting(
        None, "Steps between validations; empty means about twenty in a run", low=1, high=10**7
    )
    stop_at_loss: float | None = setting(
        None,
        "Held-out loss (of masked words, or of pairs) at which a run ends before its budget; it is "
        "looked at in each validation, on 512 pairs",
        low=0,
        high=100,
    )
    keep: str = setting(
        "last",
        "Which weights are the result: the last, or the best, which had the lowest held-out loss "
        "(of masked words, or of pairs) in the run's validations",
        choices=("last", "best"),
    )
    save_every_seconds: float = setting(
        30.0, "Seconds between saves of the unfinished run", low=1, high=86400
    )
    device: str = setting(
        "auto", "Where to compute; auto takes the fastest", choices=("auto", "cpu", "cuda", "mps")
    )
    precision: str = setting(
        "auto",
        "bf16 is faster where the hardware has it; auto measures",
        choices=("auto", "fp32", "bf16"),
    )
    optimizer: str | None = setting(
        None,
        "What turns gradients into steps: adamw (Loshchilov and Hutter 2019), or muon for the "
        "hidden matrices (Jordan et al. 2024), which leads further in a short run",
        choices=("adamw", "muon"),
    )
    weight_decay: float | None = setting(
        None,
        "Share of the learning rate by which matrices shrink in every step (Loshchilov and Hutter "
        "2019); a run of minutes hardly feels it",
        low=0.0,
        high=10.0,
    )
    warmup: float | None = setting(
        None,
        "Share of the budget in which the learning rate rises (Vaswani et al. 2017); without it "
        "the first steps throw some models back, deep ones most",
        low=0.0,
        high=0.9,
    )
    schedule: str | None = setting(
        None,
        "How the learning rate goes on from there: linear, cosine (Loshchilov and Hutter 2017) or "
        "constant; one that falls ends lower",
        choices=("linear", "cosine", "constant"),
    )

    def __post_init__(self) -> None:
        if self.batch_size is None:
            object.__setattr__(self, "batch_size", _BATCH_SIZES.get(str(self.recipe), 256))
        check(self)
        if self.steps is None and self.epochs is None and self.budget_seconds is None:
            raise UserError("A run needs a budget: steps, epochs or budget_seconds.")
        if self.gradient_accumulation_steps > self.batch_size:
            raise UserError(
                "gradient_accumulation_steps is {value}; it cannot be more than batch_size, "
                "{batch_size}.",
                value=self.gradient_accumulation_steps,
                batch_size=self.batch_size,
            )

    def check_length(self, model: BertConfig) -> None:
        """Raise `UserError` if the model reads no sequences of `max_length`."""
        limit = model.max_position_embeddings
        if self.max_length > limit:
            raise UserError(
                "max_length is {value}; this model reads at most {limit} tokens.",
                value=self.max_length,
                limit=limit,
            )


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run: what is trained, on what, and how."""

    task: str = setting("pretraining", "What is trained", choices=("pretraining", "nli"))
    corpus: str = setting("crane-world", "The text to learn from", choices=CORPORA)
    size: str = setting("tiny", "How large a new model is", choices=MODEL_SIZES)
    start_from: str | None = setting(None, "Folder of the checkpoint to go on from")
    teacher: str | None = setting(
        None,
        "Folder of a fine-tuned checkpoint; its probabilities are learnt in place of the labels",
    )
    new_pairs: int = setting(
        0,
        "With a teacher: how many more pairs it judges, new ones of the same sentences",
        low=0,
        high=10_000_000,
    )
    logic_pairs: int = setting(
        0,
        "How many generated pairs of logic (negation, numbers, who did what, ...) are learnt from "
        "as well, with their own labels",
        low=0,
        high=500_000,
    )
    edited_pairs: int = setting(
        0,
        "How many pairs are made of the labelled ones' own sentences, denied, counted, coloured or "
        "swapped, with the labels that this gives",
        low=0,
        high=500_000,
    )
    vocabulary: str = setting(
        "word", "Whole words, as the book has it, or pieces of words", choices=("word", "wordpiece")
    )
    wordpieces: int = setting(8000, "Size of a WordPiece vocabulary", low=100, high=100_000)
    hidden_size: int | None = setting(None, "Other width than the size's own", low=2, high=4096)
    num_hidden_layers: int | None = setting(None, "Other depth", low=1, high=48)
    num_attention_heads: int | None = setting(None, "Other number of heads", low=1, high=64)
    intermediate_size: int | None = setting(None, "Other feed-forward width", low=2, high=16384)
    dropout: float | None = setting(
        None,
        "Share of activations dropped, from the first step on; empty means the recipe's own, which "
        "in recommended depends on the size and on what the model knows by heart",
        low=0.0,
        high=0.9,
    )
    norm: str = setting(
        "after",
        "LayerNorm after each residual sum, as in BERT, or before each sublayer (Xiong et al. "
        "2020), which keeps deep models stable; two layers gain little",
        choices=NORMS,
    )
    hidden_act: str | None = setting(
        None,
        "Non-linearity: the book's relu, or BERT's gelu (Hendrycks and Gimpel 2016), which is a "
        "little better as a rule",
        choices=ACTIVATIONS,
    )
    positions: str = setting(
        "learned",
        "What a token knows of its place: a learnt table (BERT), fixed sines (Vaswani et al. 2017) "
        "or nothing; with nothing, word order is lost and guesses get clearly worse",
        choices=POSITIONS,
    )
    tied_matrix: str | None = setting(
        None,
        "Whether the word embeddings are the output matrix too (Press and Wolf 2017): fewer "
        "weights, and a short run learns faster",
        choices=ON_OFF,
    )
    word_vectors: str | None = setting(
        None,
        "How words' vectors begin: drawn at random (BERT, the book), or counted, so that words "
        "that stand between the same words begin alike (Levy and Goldberg 2014), which leads much "
        "further in a short run",
        choices=WORD_VECTORS,
    )
    mask_share: float = setting(
        0.15,
        "Share of words to guess: 0.15 in BERT; with more there is more to learn from in a step "
        "and less to guess by; 0.4 leads further in large models (Wettig et al. 2023) and short "
        "runs",
        low=0.01,
        high=0.9,
    )
    mask_replaced: float = setting(
        0.8,
        "Of the words to guess, the share that becomes <mask>: 0.8 in BERT; other shares changed "
        "little there (Devlin et al. 2019, C.2)",
        low=0.0,
        high=1.0,
    )
    mask_random: float = setting(
        0.1,
        "Of the words to guess, the share that becomes a random word: 0.1 in BERT, and the rest "
        "stays as it is; far more of it hurts (Devlin et al. 2019, C.2)",
        low=0.0,
        high=1.0,
    )
    masking: str = setting(
        "dynamic",
        "When masks and pairs are drawn: dynamic, anew in every step (RoBERTa, Liu et al. 2019), "
        "or static, once for all passes (the book, 15.9), which many passes learn by heart",
        choices=MASKINGS,
    )
    padding_in_loss: str = setting(
        "off",
        "Whether each text's guesses are padded to equally many, all to be <unk> at <cls>, and "
        "count in the loss, as in the book (15.10): it then says less than is true; "
        "held-out losses never have them",
        choices=ON_OFF,
    )
    next_sentence: str = setting(
        "on",
        "Whether the next-sentence question is learnt too; RoBERTa (Liu et al. 2019) left it out, "
        "and the guesses got no worse",
        choices=ON_OFF,
    )
    training: TrainingConfig = dataclasses.field(default_factory=lambda: TrainingConfig(steps=50))

    def __post_init__(self) -> None:
        check(self)
        corpora = PRETRAINING_CORPORA if self.task == "pretraining" else NLI_CORPORA
        if self.corpus not in corpora and own_task(self.corpus) != self.task:
            raise UserError(
                "corpus is {value!r}; for {task} it must be one of: {choices}.",
                value=self.corpus,
                task=Text(self.task),
                choices=", ".join(corpora),
            )
        if self.task == "nli" and self.training.truncation == "drop":
            raise UserError(
                "truncation is 'drop'; fine-tuning keeps every pair, so it must be longest_first "
                "or ratio."
            )
        if self.task == "nli" and self.start_from is None:
            raise UserError("Fine-tuning needs a checkpoint to start from.")
        if self.task != "nli" and self.teacher is not None:
            raise UserError("Only fine-tuning has a teacher; pretraining learns from text.")
        if self.task != "nli" and (self.logic_pairs or self.edited_pairs):
            raise UserError("Only fine-tuning has pairs of logic; pretraining learns from text.")
        if self.mask_replaced + self.mask_random > 1 + 1e-9:
            raise UserError(
                "mask_replaced is {replaced:g} and mask_random {random:g}; together they can be 1 "
                "at most.",
                replaced=self.mask_replaced,
                random=self.mask_random,
            )
        if self.new_pairs and self.teacher is None:
            raise UserError(
                "new_pairs is {value}; without a teacher, who would judge them, it must be 0.",
                value=self.new_pairs,
            )

    def model_config(self, vocab_size: int) -> BertConfig:
        """The shape of a new model for a vocabulary of this size."""
        return model_config(
            self.size,
            self.training.recipe,
            vocab_size,
            hidden_size=self.hidden_size,
            num_hidden_layers=self.num_hidden_layers,
            num_attention_heads=self.num_attention_heads,
            intermediate_size=self.intermediate_size,
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
            norm=self.norm,
            hidden_act=self.hidden_act,
            positions=self.positions,
            tie_word_embeddings=None if self.tied_matrix is None else self.tied_matrix == "on",
            max_position_embeddings=max(512, self.training.max_length),
        )

    @property
    def padded_guesses(self) -> int:
        """To how many guesses each text is padded, as the book counts them (15.9); 0 without."""
        slots = round(self.mask_share * self.training.max_length)
        return slots if self.padding_in_loss == "on" else 0

    @property
    def counts_words(self) -> bool:
        """Whether a new model's word vectors are counted of its text."""
        recipes_own = self.training.recipe == "recommended"
        return recipes_own if self.word_vectors is None else self.word_vectors == "counted"

    @property
    def uses_muon(self) -> bool:
        """Whether Muon updates the hidden matrices."""
        recipes_own = self.training.recipe == "recommended" and self.task == "pretraining"
        chosen = self.training.optimizer
        return recipes_own if chosen is None else chosen == "muon"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `run_config` is the way back."""
        return dataclasses.asdict(self)


def run_config(values: Mapping[str, Any]) -> RunConfig:
    """A `RunConfig` from JSON; raises `UserError` for names and values that it cannot have."""
    values = dict(values)
    training = from_dict(TrainingConfig, values.pop("training", {"steps": 50}))
    config: RunConfig = from_dict(RunConfig, {**values, "training": training})
    return config


def command_line(run: RunConfig, out: str) -> str:
    """`python -m bert_demo ...` with every setting that is not its default, and the corpus."""
    words = ["python", "-m", "bert_demo", "pretrain" if run.task == "pretraining" else "finetune"]
    for config in (run, run.training):
        for item in settings_of(type(config)):
            value = getattr(config, item.name)
            if item.name == "task" or value is None:
                continue
            if value == item.default and item.name != "corpus":
                continue
            words += [item.flags[0], _number(value)]
    return shlex.join([*words, "--out", out])


def _number(value: Any) -> str:
    """Without the ".0" of a whole number."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)

"""What the book's own code takes for the book's own work, on this machine.

Runs `d2l` 1.0.3 from PyPI, unchanged, on the real WikiText-2 and SNLI text (BERT_DEMO_DATA), each
measure in a process of its own, and prints one JSON object for each:

    {"measure", "value", "unit", "peak_rss_bytes", "seconds", "steps"}

`make bench` installs the package; by hand: `pip install --no-deps --target .bench/d2l d2l==1.0.3`.

Where the book cannot run as printed, this is what stands in, always to its advantage or neutral:
its downloads are dead, so the same text is laid out as the files it expects; it needs a GPU, so
the device list is the CPU; what it imports for pictures and tables is an empty stand-in. Section
16.7's data set and classifier are printed in the book and not in the package: `snli_dataset` and
`classifier` follow them step by step.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import importlib.machinery
import itertools
import json
import multiprocessing
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MEASURES = ("pretrain", "finetune", "prepare-snli", "prepare-wikitext")

_WIKITEXT = "datasets/Salesforce/wikitext/wikitext-2-v1/train-00000-of-00001.parquet"
_SNLI = "datasets/stanfordnlp/snli/plain_text/train-00000-of-00001.parquet"
_PICTURES_AND_TABLES = (
    "IPython",
    "matplotlib",
    "matplotlib.pyplot",
    "matplotlib_inline",
    "pandas",
    "PIL",
    "requests",
    "scipy",
    "scipy.spatial",
    "torchvision",
)


class _StandIn(types.ModuleType):
    """A module whose every name is a stand-in too: enough to be imported, and no more."""

    __path__: list[str] = []  # noqa: RUF012  (a module with a path may have submodules)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _StandIn(f"{self.__name__}.{name}")


def load_book(folder: Path) -> Any:
    """The book's package, `d2l.torch`, from the folder it was installed in.

    The stand-ins leave again after the import: torch asks later on, by name, whether some of
    them are installed.
    """
    hidden = {name: sys.modules.pop(name, None) for name in _PICTURES_AND_TABLES}
    for name in _PICTURES_AND_TABLES:
        sys.modules[name] = _StandIn(name)
    sys.path.insert(0, str(folder))
    try:
        book = importlib.import_module("d2l.torch")
    finally:
        for name, module in hidden.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module
    version = importlib.import_module("d2l").__version__
    if version != "1.0.3":
        raise ValueError(f"{folder} has d2l {version}; the comparison is with 1.0.3.")
    return book


def write_wikitext(data: Path, folder: Path) -> None:
    """The training text as `wiki.train.tokens`, one line for each row."""
    import pyarrow.parquet as pq

    lines = pq.read_table(data / _WIKITEXT, columns=["text"])["text"].to_pylist()
    # The Hub's rows end in a line break, save the empty ones.
    text = "".join(line if line.endswith("\n") else line + "\n" for line in lines)
    (folder / "wiki.train.tokens").write_text(text, encoding="utf-8")


def write_snli(data: Path, folder: Path) -> None:
    """The training pairs as `snli_1.0_train.txt`: label and two bracketed parses in each line."""
    import pyarrow.parquet as pq

    names = {0: "entailment", 1: "neutral", 2: "contradiction", -1: "-"}
    rows = pq.read_table(data / _SNLI).to_pylist()
    lines = ["gold_label\tsentence1_binary_parse\tsentence2_binary_parse\n"]
    for row in rows:
        pair = _bracketed(row["premise"]) + "\t" + _bracketed(row["hypothesis"])
        lines.append(f"{names[row['label']]}\t{pair}\n")
    (folder / "snli_1.0_train.txt").write_text("".join(lines), encoding="utf-8")


def _bracketed(sentence: str) -> str:
    """A binary parse of n tokens has n - 1 pairs of brackets, whatever its shape."""
    tokens: list[str] = re.findall(r"\w+|[^\w\s]", sentence) or [""]
    return "".join(f"( {token} " for token in tokens[:-1]) + tokens[-1] + " )" * (len(tokens) - 1)


def load_wikitext(book: Any, folder: Path) -> tuple[Any, Any]:
    """The book's `load_data_wiki(512, 64)` (15.9.3), on text that is already there."""
    book.download_extract = lambda name, inner=None: str(folder)
    return book.load_data_wiki(512, 64)  # type: ignore[no-any-return]


def snli_dataset(book: Any, dataset: Any, max_len: int, vocab: Any) -> Any:
    """The data set for fine-tuning (D2L 16.7.2), prepared by 4 processes as there."""
    import torch

    lowered = [[text.lower() for text in texts] for texts in dataset[:2]]
    pairs = [list(pair) for pair in zip(*map(book.tokenize, lowered), strict=True)]
    worker = functools.partial(_encode_pair, book=_BookParts(book), max_len=max_len, vocab=vocab)
    with multiprocessing.Pool(4) as pool:
        encoded = pool.map(worker, pairs)
    columns = [torch.tensor(column) for column in zip(*encoded, strict=True)]
    return torch.utils.data.TensorDataset(*columns, torch.tensor(dataset[2]))


class _BookParts:
    """What a worker needs of the package, which cannot be pickled as a module."""

    def __init__(self, book: Any) -> None:
        self.get_tokens_and_segments = book.get_tokens_and_segments


def _encode_pair(pair: Any, book: _BookParts, max_len: int, vocab: Any) -> Any:
    premise, hypothesis = pair
    while len(premise) + len(hypothesis) > max_len - 3:
        longer = premise if len(premise) > len(hypothesis) else hypothesis
        longer.pop()
    tokens, segments = book.get_tokens_and_segments(premise, hypothesis)
    padding = max_len - len(tokens)
    return vocab[tokens] + [vocab["<pad>"]] * padding, segments + [0] * padding, len(tokens)


def classifier(book: Any, vocab_size: int) -> Any:
    """bert.small's encoder with the classifier of 16.7.3: 256 wide, 2 blocks, 4 heads."""
    from torch import nn

    bert = book.BERTModel(vocab_size, 256, 512, 4, 2, 0.1, max_len=512)

    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.hidden, self.output = bert.encoder, bert.hidden, nn.LazyLinear(3)

        def forward(self, inputs: Any) -> Any:
            encoded = self.encoder(*inputs)
            return self.output(self.hidden(encoded[:, 0, :]))

    return Classifier()


def pretrainer(book: Any, batches: Any, vocab: Any) -> tuple[Any, Callable[[Any], None]]:
    """The model of 15.10, and one step of its training on a batch."""
    import torch

    net = book.BERTModel(len(vocab), 128, 256, 2, 2, 0.2)
    loss = torch.nn.CrossEntropyLoss()
    net(*next(iter(batches))[:4])
    parallel = torch.nn.DataParallel(net, device_ids=[torch.device("cpu")])
    trainer = torch.optim.Adam(parallel.parameters(), lr=0.01)

    def step(batch: Any) -> None:
        trainer.zero_grad()
        _, _, total = book._get_batch_loss_bert(parallel, loss, len(vocab), *batch)
        total.backward()
        trainer.step()

    return net, step


def pretrain(book: Any, folder: Path, steps: int) -> dict[str, Any]:
    """Pretraining as in 15.10, batch 512, length 64; a step is timed from batch to batch."""
    batches, vocab = load_wikitext(book, folder)
    _, step = pretrainer(book, batches, vocab)
    timer = book.Timer()
    for batch in itertools.islice(batches, steps + 1):
        step(batch)
        timer.stop()
        timer.start()
    return _rate(timer, 512, "pairs/s", vocabulary=len(vocab))


def finetune(book: Any, folder: Path, steps: int) -> dict[str, Any]:
    """Fine-tuning as in 16.7, batch 512, length 128, with WikiText-2's vocabulary."""
    import torch

    _, vocab = load_wikitext(book, folder)
    dataset = snli_dataset(book, book.read_snli(str(folder), True), 128, vocab)
    batches = torch.utils.data.DataLoader(dataset, 512, shuffle=True, num_workers=4)
    net = classifier(book, len(vocab))
    net([column[:2] for column in dataset.tensors[:3]])
    trainer = torch.optim.Adam(net.parameters(), lr=1e-4)
    loss = torch.nn.CrossEntropyLoss(reduction="none")
    timer = book.Timer()
    for *features, labels in itertools.islice(batches, steps + 1):
        book.train_batch_ch13(net, features, labels, loss, trainer, [torch.device("cpu")])
        timer.stop()
        timer.start()
    return _rate(timer, 512, "examples/s", vocabulary=len(vocab))


def _rate(timer: Any, batch_size: int, unit: str, **more: Any) -> dict[str, Any]:
    """Examples a second in all steps but the first, which warms up."""
    times = timer.times[1:]
    seconds = sum(times)
    value = batch_size * len(times) / seconds
    return {"value": value, "unit": unit, "seconds": seconds, "steps": len(times), **more}


def prepare_snli(book: Any, folder: Path, steps: int) -> dict[str, Any]:
    """Reading and encoding the training pairs at length 128; the vocabulary is there already."""
    _, vocab = load_wikitext(book, folder)
    begin = time.perf_counter()
    dataset = snli_dataset(book, book.read_snli(str(folder), True), 128, vocab)
    seconds = time.perf_counter() - begin
    return {"value": seconds, "unit": "s", "seconds": seconds, "steps": 1, "pairs": len(dataset)}


def prepare_wikitext(book: Any, folder: Path, steps: int) -> dict[str, Any]:
    """From file to batches: `load_data_wiki`, with masks and pairs, which it draws once."""
    begin = time.perf_counter()
    batches, _ = load_wikitext(book, folder)
    seconds = time.perf_counter() - begin
    pairs = len(batches.dataset)
    return {"value": seconds, "unit": "s", "seconds": seconds, "steps": 1, "pairs": pairs}


def run_here(measure: str, book_folder: Path, data: Path, steps: int) -> dict[str, Any]:
    """One measure, in this process."""
    chosen: dict[str, Callable[[Any, Path, int], dict[str, Any]]] = {
        "pretrain": pretrain,
        "finetune": finetune,
        "prepare-snli": prepare_snli,
        "prepare-wikitext": prepare_wikitext,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write = {"prepare-wikitext": (write_wikitext,), "pretrain": (write_wikitext,)}
        for file in write.get(measure, (write_wikitext, write_snli)):
            # In a process of its own, so that this one's peak memory is the book's alone.
            _in_child(file, data, folder)
        # The book prints as it goes; this program's output is JSON alone.
        with contextlib.redirect_stdout(sys.stderr):
            found = chosen[measure](load_book(book_folder), folder, steps)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {"measure": measure, "peak_rss_bytes": peak, **found}


def _in_child(function: Callable[[Path, Path], None], *arguments: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{function.__name__} ended with exit code {process.exitcode}")


def run_apart(measures: tuple[str, ...], arguments: list[str]) -> Iterator[dict[str, Any]]:
    """Each measure in a fresh process."""
    for measure in measures:
        command = [sys.executable, __file__, *arguments, "--here", "--only", measure]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        yield json.loads(done.stdout)


def main() -> None:
    """Measure what is asked for, and print JSON lines."""
    parser = argparse.ArgumentParser(description="Measure the book's own code.")
    parser.add_argument("--d2l", type=Path, default=Path(".bench/d2l"), help="where d2l is")
    parser.add_argument("--only", choices=MEASURES, help="one measure instead of all")
    parser.add_argument("--steps", type=int, default=5, help="training steps after the first")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    data = Path(os.environ.get("BERT_DEMO_DATA", ""))
    if not (data / _SNLI).is_file():
        parser.error("BERT_DEMO_DATA must name the folder with the real WikiText-2 and SNLI")
    if chosen.here:
        print(json.dumps(run_here(chosen.only, chosen.d2l, data, chosen.steps)))
        return
    measures = (chosen.only,) if chosen.only else MEASURES
    for found in run_apart(measures, ["--d2l", str(chosen.d2l), "--steps", str(chosen.steps)]):
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()

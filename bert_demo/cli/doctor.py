"""What this computer offers and what is missing: the `doctor` command. Asks no network."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

from bert_demo.config import VERSION
from bert_demo.data import own
from bert_demo.data.corpora import CORPORA
from bert_demo.data.files import cache_dir
from bert_demo.data.whereabouts import whereabouts
from bert_demo.model import device as hardware
from bert_demo.model import fast_paths

PACKAGES = ("torch", "gradio", "huggingface_hub", "pyarrow", "safetensors", "tokenizers")
"""What the project stands on; their versions explain most differences between two computers."""


def report(checkpoints: Path = Path("checkpoints")) -> dict[str, Any]:
    """Everything worth knowing before a run, as plain values that JSON can hold.

    Sizes are in bytes. A part that cannot be found out holds its reason as text under "error";
    nothing raises.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in ("bert_demo", *PACKAGES)},
        "cores": hardware.usable_cores(),
        "memory": {
            "free": hardware.available_memory_bytes(),
            "total": hardware.total_memory_bytes(),
        },
        **_torch_report(),
        "cache": _cache_report(),
        "corpora": {name: _whereabouts(name) for name in CORPORA},
        "own": dict(own.every()),
        "checkpoints": _checkpoints(checkpoints),
    }


def lines(report: dict[str, Any]) -> list[str]:
    """The report in words, one fact a line."""
    told = [
        _line("Python", f"{report['python']} on {report['platform']}"),
        _line(
            "Packages", ", ".join(f"{n} {v or 'missing'}" for n, v in report["packages"].items())
        ),
        _line("Memory", _sizes(report["memory"])),
        _line("Processor", _cores(report)),
    ]
    if report["torch_error"]:
        told.append(_line("Problem", f"torch does not work here: {report['torch_error']}"))
    if report["blocks"] is not None:
        told.append(_line("Blocks", _block_words(report["blocks"])))
    for found in report["devices"]:
        chosen = ", taken by --device auto" if found["auto"] else ""
        told.append(_line(f"Device {found['device']}", _device_words(found) + chosen))
        if found.get("proved"):
            told.append(_line("Proved", _proved_words(found["proved"])))
    if report["switched_off"]:
        told.append(_line("Problem", fast_paths.told(report["switched_off"])))
    if len(report["cards"]) > 1:
        names = ", ".join(f"cuda:{number}" for number in report["cards"])
        told.append(_line("Together", f"the page trains on {names}; torchrun does from a shell"))
    told.append(_line("Cache", _cache_words(report["cache"])))
    for name, place in report["corpora"].items():
        told.append(
            _line(CORPORA[name].title, f"from {place}" if "built in" not in place else place)
        )
    for name, noted in report["own"].items():
        told.append(_line("Own text", f"{name}, of {noted.get('source')}"))
    for found in report["checkpoints"]:
        told.append(_line("Checkpoint", _checkpoint_words(found)))
    if not report["checkpoints"]:
        told.append(_line("Checkpoints", "none in ./checkpoints yet"))
    return told


def _torch_report() -> dict[str, Any]:
    try:
        import torch

        from bert_demo.model.compiled import library

        here = hardware.devices()
        told = [_device_report(d) for d in here]
        taken = [d.type for d in here].index(hardware.pick_device("auto").type)
        return {
            "threads": torch.get_num_threads(),
            "blocks": library.load() or "compiled",
            "devices": [found | {"auto": n == taken} for n, found in enumerate(told)],
            "switched_off": fast_paths.switched_off(),
            "cards": hardware.cards(),
            "torch_error": None,
        }
    except (ImportError, OSError, RuntimeError) as error:  # missing, or its libraries or driver
        return {
            "threads": None,
            "blocks": None,
            "devices": [],
            "switched_off": {},
            "cards": [],
            "torch_error": _first_line(error),
        }


def _device_report(found: Any) -> dict[str, Any]:
    from bert_demo.training.proof import prove

    told: dict[str, Any] = {"device": str(found), "error": None}
    try:
        free, total = hardware.memory_bytes(found)
        told |= {"name": hardware.device_name(found), "memory": {"free": free, "total": total}}
        told["proved"] = {} if found.type == "cpu" else prove(found)
        told["fast_bf16"] = hardware.fast_bf16(found)
    except RuntimeError as error:  # another program may hold a GPU for itself
        told["error"] = _first_line(error)
    return told


def _cache_report() -> dict[str, Any]:
    folder = cache_dir()
    size = 0
    for file in folder.rglob("*") if folder.is_dir() else ():
        try:
            size += file.stat().st_size if file.is_file() else 0
        except OSError:
            continue  # another process may be tidying up
    existing = next((p for p in (folder, *folder.parents) if p.exists()), Path("/"))
    writable = existing.is_dir() and os.access(existing, os.W_OK)
    return {"folder": str(folder), "bytes": size, "writable": writable}


def _checkpoints(folder: Path) -> list[dict[str, Any]]:
    """Checkpoints in the folder, by their readable configuration alone."""
    found = []
    for config in sorted(folder.glob("*/config.json")):
        told: dict[str, Any] = {"folder": str(config.parent), "error": None}
        try:
            values = json.loads(config.read_text(encoding="utf-8"))
            told["task"] = str(values["task"])
            told["model"] = dict(values["model"])
        except (OSError, ValueError, KeyError, TypeError):
            told["error"] = "its config.json is not a checkpoint's of this project"
        found.append(told)
    return found


def _whereabouts(name: str) -> str:
    try:
        return str(whereabouts(name))
    except (ImportError, OSError) as error:
        return f"nowhere: {_first_line(error)}"


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        if package == "bert_demo":  # run from its folder without being installed
            return VERSION
        return None


def _line(label: str, text: str) -> str:
    return f"{label:<12} {text}"


def _cores(report: dict[str, Any]) -> str:
    cores = f"{report['cores']} core{'s' if report['cores'] != 1 else ''} for this process"
    return cores if report["threads"] is None else f"{cores}, torch uses {report['threads']}"


def _block_words(state: str) -> str:
    if state == "compiled":
        return "compiled for this processor"
    return f"not compiled, so a CPU trains about a quarter slower: {state}"


def _device_words(found: dict[str, Any]) -> str:
    if found["error"]:
        return f"cannot be used: {found['error']}"
    bf16 = "fast" if found["fast_bf16"] else "not faster than fp32"
    memory = "" if found["device"] == "cpu" else f"{_sizes(found['memory'])}, "
    return f"{found['name']}, {memory}bf16 is {bf16}"


def _proved_words(differences: dict[str, float]) -> str:
    paths = (f"{fast_paths.FAST_PATHS[n].title} {share:.0e}" for n, share in differences.items())
    return f"against plain operations, with the largest difference: {', '.join(paths)}"


def _cache_words(cache: dict[str, Any]) -> str:
    words = f"{cache['folder']}, {_size(cache['bytes'])}"
    return words if cache["writable"] else f"{words}, cannot be written: set BERT_DEMO_CACHE"


def _checkpoint_words(found: dict[str, Any]) -> str:
    if found["error"]:
        return f"{found['folder']}: {found['error']}"
    model = found["model"]
    return (
        f"{found['folder']}: {found['task']}, {model.get('num_hidden_layers')} layers of "
        f"{model.get('hidden_size')}, {model.get('vocab_size')} words"
    )


def _sizes(memory: dict[str, int]) -> str:
    return f"{_size(memory['free'])} free of {_size(memory['total'])}"


def _size(count: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]

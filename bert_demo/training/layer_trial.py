"""One layer of a model's own sizes, tried on a card before a run trains by Triton's kernels.

`proof` tries whole steps of a small model on short texts; another width is another kernel, and so
are longer sequences another way through it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from bert_demo.common.errors import Text, UserError
from bert_demo.config import BertConfig
from bert_demo.data.packing import pack
from bert_demo.model import fast_paths, kernels
from bert_demo.model.bert import EncoderLayer
from bert_demo.model.device import fast_bf16

LIMITS = {"fp32": 0.02, "bf16": 0.2}
"""Of a gradient or an update: the norm of its difference, relative to the right one. Rounding
makes it 1e-6 (on a card that multiplies in TF32 1e-3) or 0.09; attention that overlooks the last
token of each sequence makes it 0.25."""
SHARPER = 2.0
"""Attention at random weights looks at all tokens alike, and hardly tells right from wrong."""
_LEAST_NORM = 0.01
"""Of a tensor, relative to all together: some gradients are nothing but rounding."""
_LENGTHS = (3, 40, 64, 65, 100, 128)
_DROPOUT = 0.1

_tried: set[tuple[object, ...]] = set()


def offered(device: torch.device) -> bool:
    """Whether there are such kernels for this device, and it trains in bf16."""
    return fast_bf16(device) and kernels.has_triton(device)


def try_layer(config: BertConfig, device: torch.device) -> None:
    """Switch Triton's kernels off where they fail at these sizes; once in a process for each."""
    sizes = config.hidden_size, config.num_attention_heads, config.intermediate_size
    case = str(device), *sizes, config.norm, config.hidden_act
    if not fast_paths.serves(fast_paths.TRITON, device) or not offered(device) or case in _tried:
        return
    _tried.add(case)
    try:
        layer_apart(config, device)
    except Exception as error:  # whatever it is, the plain path does without
        fast_paths.switch_off(fast_paths.TRITON, device, error)


def forget() -> None:
    """Let everything be tried again, as in a process that has just begun."""
    _tried.clear()


def layer_apart(config: BertConfig, device: torch.device) -> float:
    """How far a layer in bf16 is from one in fp32 on a CPU, both ways; raises `UserError` where
    that is too far, and whatever a kernel raises, with dropout too."""
    plain = replace(config, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = EncoderLayer(plain).train()
        x = torch.randn(sum(_LENGTHS), config.hidden_size)
        grad = torch.randn(len(x), config.hidden_size)
    with torch.no_grad():
        layer.qkv.weight.mul_(SHARPER)
    right = _both_ways(layer, x, grad, "fp32")
    layer.to(device)
    found = _both_ways(layer, x.to(device), grad.to(device), "bf16")
    check_finite(found)
    layer.hidden_dropout = layer.attention_dropout = _DROPOUT
    check_finite(_both_ways(layer, x.to(device), grad.to(device), "bf16"))
    return norm_apart(Text("gradients"), found, right, LIMITS["bf16"])


def _both_ways(layer: EncoderLayer, x: Tensor, grad: Tensor, precision: str) -> list[Tensor]:
    """What the layer makes of x (T, H), and the gradients of x and of its weights, on the CPU."""
    batch = pack([([0] * length, [0] * length) for length in _LENGTHS]).to(x.device)
    if precision == "bf16":
        batch = replace(batch, groups=())  # as of batches that only the device knows
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
        out = layer(x.requires_grad_(), batch)
    grads = torch.autograd.grad(out, [x, *layer.parameters()], grad.to(out.dtype))
    return [tensor.detach().float().cpu() for tensor in (out, *grads)]


def check_finite(tensors: Sequence[Tensor | None]) -> None:
    """Raises `UserError` if a number is not finite."""
    if not all(bool(tensor.isfinite().all()) for tensor in tensors if tensor is not None):
        raise UserError("it gives numbers that are not finite")


def norm_apart(
    what: Text, found: Sequence[Tensor | None], right: Sequence[Tensor | None], limit: float
) -> float:
    """The largest norm of a difference, relative to the right tensor's; raises `UserError` where it
    is above `limit`."""
    pairs = [
        (torch.zeros_like(b) if a is None else a, b)
        for a, b in zip(found, right, strict=True)
        if b is not None
    ]
    least = _LEAST_NORM * float(torch.stack([b.norm() for _, b in pairs]).norm())
    worst = max(float((a - b).norm()) / max(float(b.norm()), least) for a, b in pairs)
    if not worst <= limit:
        raise UserError(
            "its {numbers} differ from the right ones by {share:.1%}", numbers=what, share=worst
        )
    return worst

"""The two recipes: which optimizer updates what, and how the step size changes; a run may differ.

"d2l" is the book's: Adam with one rate from first to last step (D2L 15.10, 16.7). "recommended"
pretrains with Muon on the hidden matrices and AdamW on the rest, and fine-tunes with AdamW;
both warm up and then fall to zero as the budget runs out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from bert_demo.config import RunConfig
from bert_demo.model import fast_paths
from bert_demo.model.bert import BertModel
from bert_demo.model.device import fast_bf16


@dataclass(frozen=True)
class Recipe:
    """The numbers of one recipe for one task."""

    learning_rate: float
    muon_learning_rate: float | None = None
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: float | None = None
    """Share of the budget in which the rate rises; None keeps it constant."""
    shape: str = "constant"
    """How the rate goes on from there: "linear" or "cosine" to nearly nothing, or "constant"."""
    clip: float | None = None
    """Largest norm of the gradients that AdamW sees."""


_RECIPES = {
    ("d2l", "pretraining"): Recipe(0.01),
    ("d2l", "nli"): Recipe(1e-4),
    ("recommended", "pretraining"): Recipe(
        6e-3,
        muon_learning_rate=0.03,
        weight_decay=0.01,
        betas=(0.9, 0.95),
        warmup=0.05,
        shape="linear",
    ),
    ("recommended", "nli"): Recipe(5e-4, weight_decay=0.01, warmup=0.1, shape="linear", clip=1.0),
}
_TUNED_WIDTH = 128
_WIDTH_POWER = 4 / 3
_WIDE_RATE = 0.01
_MUONS_RATE = 5
"""Muon's rate over AdamW's, where a recipe has none of its own: as in "recommended"."""


def recipe(name: str, task: str, hidden_size: int, learning_rate: float | None) -> Recipe:
    """The recipe's numbers for a model of this width; a given learning rate replaces the main one.

    Wider models learn with smaller steps (Yang et al. 2022). In "recommended" both rates fall so
    that a width of 256 has 0.004 and 0.012, which in ten minutes on WikiText-2 and SNLI's sentences
    led far below twice as much. Up to 128 a minute on WikiText-2 leads further with 0.006 and 0.03
    than with more or less of either.
    """
    chosen = _RECIPES[name, task]
    if chosen.muon_learning_rate is None:
        rate = chosen.learning_rate if learning_rate is None else learning_rate
        return replace(chosen, learning_rate=rate)
    width = max(1.0, hidden_size / _TUNED_WIDTH) ** -_WIDTH_POWER
    own = min(chosen.learning_rate, float(f"{_WIDE_RATE * width:.2g}"))
    rate = own if learning_rate is None else learning_rate
    muon = chosen.muon_learning_rate * width * rate / own
    return replace(chosen, learning_rate=rate, muon_learning_rate=muon)


def recipe_of(run: RunConfig, hidden_size: int) -> Recipe:
    """The numbers of a run of this width: its recipe's, but for what it chose otherwise."""
    training = run.training
    numbers = recipe(training.recipe, run.task, hidden_size, training.learning_rate)
    if run.uses_muon and numbers.muon_learning_rate is None:
        muon = numbers.learning_rate * _MUONS_RATE
        numbers = replace(numbers, muon_learning_rate=muon)
    elif not run.uses_muon:
        numbers = replace(numbers, muon_learning_rate=None)
    if training.schedule is not None and numbers.warmup is None:
        numbers = replace(numbers, warmup=0.0)
    chosen = {
        "weight_decay": training.weight_decay,
        "warmup": training.warmup,
        "shape": training.schedule,
    }
    return replace(numbers, **{n: v for n, v in chosen.items() if v is not None})  # type: ignore[arg-type]


_MOMENTUM = 0.95
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_NEWTON_SCHULZ_STEPS = 5

State = dict[int, dict[str, Tensor]]
"""What is remembered of each parameter that has had a gradient, by its number and a name."""


class Update:
    """One way to change parameters, and what it remembers of them."""

    def __init__(self, parameters: Iterable[Tensor], rate: float) -> None:
        self.parameters, self.rate = list(parameters), rate
        self.state: State = {}

    def step(self, factor: float) -> None:
        """Change each parameter that has a gradient, at `factor` times the rate."""
        raise NotImplementedError

    def load(self, state: State) -> None:
        """Go on from a remembered state, which may come from another device."""
        for number, tensors in state.items():
            for name, tensor in tensors.items():
                self._remembered(number)[name].copy_(tensor)

    def _remembered(self, number: int) -> dict[str, Tensor]:
        if number not in self.state:
            self.state[number] = self._fresh(self.parameters[number])
        return self.state[number]

    def _fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        raise NotImplementedError


class AdamW(Update):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019); with no decay it is Adam.

    groups: parameters, and by what share of the rate they shrink at each step.
    """

    def __init__(
        self,
        groups: Sequence[tuple[Sequence[Tensor], float]],
        rate: float,
        betas: tuple[float, float],
    ) -> None:
        super().__init__((p for parameters, _ in groups for p in parameters), rate)
        self._decays = [decay for parameters, decay in groups for _ in parameters]
        self._betas = betas

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Change each parameter that has a gradient, at `factor` times the rate."""
        for decay in sorted(set(self._decays)):
            changed = [
                number
                for number, parameter in enumerate(self.parameters)
                if self._decays[number] == decay and parameter.grad is not None
            ]
            if not changed:
                continue
            states = [self._remembered(number) for number in changed]
            parameters = [self.parameters[number] for number in changed]
            adamw(
                parameters,
                [parameter.grad for parameter in parameters if parameter.grad is not None],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=_fuses(parameters[0]) or None,
                amsgrad=False,
                beta1=self._betas[0],
                beta2=self._betas[1],
                lr=self.rate * factor,
                weight_decay=decay,
                eps=1e-8,
                maximize=False,
            )

    def _fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        return {
            "step": torch.zeros((), device=parameter.device if _fuses(parameter) else "cpu"),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }


def _fuses(parameter: Tensor) -> bool:
    """Whether one call of PyTorch updates everything."""
    return fast_paths.serves(fast_paths.FUSED, parameter.device)


class Muon(Update):
    """Momentum whose update is made orthogonal, for matrices (Jordan et al. 2024)."""

    def __init__(self, matrices: Iterable[Tensor], rate: float, weight_decay: float) -> None:
        super().__init__(matrices, rate)
        self._decay = weight_decay
        self.together = bool(self.parameters) and self.parameters[0].device.type == "cuda"

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Change each matrix that has a gradient, at `factor` times the rate."""
        rate = self.rate * factor
        for numbers in self._alike():
            matrices = [self.parameters[number] for number in numbers]
            grads = [matrix.grad for matrix in matrices if matrix.grad is not None]
            momenta = [self._remembered(number)["momentum_buffer"] for number in numbers]
            torch._foreach_lerp_(momenta, grads, 1 - _MOMENTUM)
            ahead = torch._foreach_lerp(grads, momenta, _MOMENTUM)  # Nesterov's
            updates = [orthogonalised(ahead[0])]
            if len(ahead) > 1:
                updates = list(orthogonalised(torch.stack(ahead)).to(ahead[0].dtype).unbind())
            rows, columns = matrices[0].shape
            torch._foreach_mul_(matrices, 1 - rate * self._decay)
            torch._foreach_add_(matrices, updates, alpha=-rate * max(1, rows / columns) ** 0.5)

    def _alike(self) -> list[list[int]]:
        """The numbers of the matrices that have a gradient: on a GPU, where operations are short,
        those of one shape together; else each by itself."""
        changed = [n for n, matrix in enumerate(self.parameters) if matrix.grad is not None]
        if not self.together:
            return [[number] for number in changed]
        shapes: dict[torch.Size, list[int]] = {}
        for number in changed:
            shapes.setdefault(self.parameters[number].shape, []).append(number)
        return list(shapes.values())

    def _fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        return {"momentum_buffer": torch.zeros_like(parameter)}


def orthogonalised(matrix: Tensor) -> Tensor:
    """(A, B), or N of them, with all singular values near 1: Newton-Schulz iterations.

    In bf16, but in fp32 where bf16 is no faster: a processor without it would take 10 to 30 times
    as long.
    """
    linear, cubic, quintic = _NEWTON_SCHULZ
    rows, columns = matrix.shape[-2:]
    product = torch.addmm if matrix.dim() == 2 else torch.baddbmm
    x = matrix.bfloat16() if fast_bf16(matrix.device) else matrix
    if rows > columns:
        x = x.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        x = product(x, product(gram, gram, gram, beta=cubic, alpha=quintic), x, beta=linear)
    return x.mT if rows > columns else x


class Optimizers:
    """One or two ways to change weights that step together under one schedule."""

    def __init__(self, model: BertModel, numbers: Recipe) -> None:
        self.numbers = numbers
        hidden, decayed, plain = _groups(model)
        muon_rate, decay = numbers.muon_learning_rate, numbers.weight_decay
        if muon_rate is None:
            decayed = hidden + decayed
        groups = [(decayed, decay), (plain, 0.0)]
        self.parts: list[Update] = [AdamW(groups, numbers.learning_rate, numbers.betas)]
        if muon_rate is not None:
            self.parts.append(Muon(hidden, muon_rate, decay))
        self._clipped = [*decayed, *plain]

    def step(self, fraction: float) -> float:
        """Update the weights, `fraction` (0 to 1) of the budget being spent; returns the rate."""
        factor = schedule(self.numbers.warmup, fraction, self.numbers.shape)
        if self.numbers.clip is not None:
            nn.utils.clip_grad_norm_(self._clipped, self.numbers.clip)
        for part in self.parts:
            part.step(factor)
            for parameter in part.parameters:
                parameter.grad = None
        return self.numbers.learning_rate * factor

    def state_tensors(self) -> dict[str, Tensor]:
        """Everything that the optimizers remember, under flat names."""
        return {
            f"optimizer.{number}.{index}.{name}": value
            for number, part in enumerate(self.parts)
            for index, state in part.state.items()
            for name, value in state.items()
        }

    def load_state_tensors(self, tensors: dict[str, Tensor]) -> None:
        """The way back of `state_tensors`."""
        for number, part in enumerate(self.parts):
            state: State = {}
            for key, value in tensors.items():
                words = key.split(".")
                if words[0] == "optimizer" and int(words[1]) == number:
                    state.setdefault(int(words[2]), {})[words[3]] = value
            part.load(state)


def schedule(warmup: float | None, fraction: float, shape: str = "linear") -> float:
    """Factor on the learning rate: a linear rise, then a fall to nearly nothing, or none."""
    if warmup is None:
        return 1.0
    fraction = min(max(fraction, 0.0), 1.0)
    if fraction < warmup:
        return max(fraction / warmup, 0.05)
    if shape == "constant":
        return 1.0
    left = (1 - fraction) / (1 - warmup)
    if shape == "cosine":
        left = (1 - math.cos(math.pi * left)) / 2
    return max(left, 0.01)


def _groups(model: BertModel) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """(hidden matrices, other matrices, vectors): Muon's, AdamW's with and without decay."""
    hidden: list[Tensor] = []
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            plain.append(parameter)
        elif name.startswith("layers.") or name in ("mlm.dense.weight", "pooler.weight"):
            hidden.append(parameter)
        else:
            decayed.append(parameter)
    return hidden, decayed, plain

"""AdamW and Muon: what turns gradients into new weights.

The arithmetic is PyTorch's, bit for bit. Its classes are left out because the first of them that is
made imports PyTorch's compiler: 800 modules, a second and a half, and 70 MB that training never
uses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.optim.adamw import adamw

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
    return parameter.device.type in ("cpu", "cuda")


class Muon(Update):
    """Momentum whose update is made orthogonal, for matrices (Jordan et al. 2024)."""

    def __init__(self, matrices: Iterable[Tensor], rate: float, weight_decay: float) -> None:
        super().__init__(matrices, rate)
        self._decay = weight_decay

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """Change each matrix that has a gradient, at `factor` times the rate."""
        rate = self.rate * factor
        for number, matrix in enumerate(self.parameters):
            if matrix.grad is None:
                continue
            momentum = self._remembered(number)["momentum_buffer"]
            momentum.lerp_(matrix.grad, 1 - _MOMENTUM)
            update = orthogonalised(matrix.grad.lerp(momentum, _MOMENTUM))  # Nesterov's
            rows, columns = matrix.shape
            matrix.mul_(1 - rate * self._decay)
            matrix.add_(update, alpha=-rate * max(1, rows / columns) ** 0.5)

    def _fresh(self, parameter: Tensor) -> dict[str, Tensor]:
        return {"momentum_buffer": torch.zeros_like(parameter)}


def orthogonalised(matrix: Tensor) -> Tensor:
    """(A, B) -> (A, B) in bf16 with all singular values near 1: Newton-Schulz iterations."""
    linear, cubic, quintic = _NEWTON_SCHULZ
    rows, columns = matrix.shape
    x = matrix.bfloat16()
    if rows > columns:
        x = x.T
    x /= x.norm().clamp(min=1e-7)
    for _ in range(_NEWTON_SCHULZ_STEPS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=cubic, alpha=quintic), x, beta=linear)
    return x.T if rows > columns else x

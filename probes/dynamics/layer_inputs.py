"""The inputs of every recurrent layer as tensors whose gradients can be asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from interp.capture.modules import ModuleNames
from interp.capture.recurrent import SIGNALS_OF, Call, run_layers
from interp.errors import ModelError
from interp.sites import escape


class LayerInputs(TorchFunctionMode):
    """While active, keeps what each layer of each recurrent module reads, inside the graph.

    A fused call is run layer by layer, through the same kernels, since its inner layers' inputs
    are otherwise out of reach. `found` maps layer names to inputs (batch, steps, n_inputs).

    Parameters
    ----------
    model : nn.Module
        In eval mode, with forward-running recurrent modules, each called once in a forward.

    Raises
    ------
    ModelError
        When the model runs in train mode, has no recurrent module, or has one whose lags mean
        nothing or cannot be followed: bidirectional, a cell in a loop, packed rows of several
        lengths, called twice.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.found: dict[str, Tensor] = {}
        self._call: dict[str, Call] = {}
        self._modules = _followed(model)
        self._active: list[str] = []
        self._hooks: list[Any] = []

    def __enter__(self) -> LayerInputs:
        for path, module in self._modules.items():
            self._hooks.append(module.register_forward_pre_hook(self._entering(path)))
            self._hooks.append(module.register_forward_hook(self._leaving, always_call=True))
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        if func not in SIGNALS_OF or not self._active:
            return func(*args, **(kwargs or {}))
        path = self._active[-1]
        call = Call.bind(func, args)
        if call.batch_sizes is not None and int(call.batch_sizes[-1]) != int(call.batch_sizes[0]):
            raise ModelError(
                f"{path} is given a PackedSequence whose rows end at different steps. Give it "
                "windows of one length."
            )
        if f"{path}/l0" in self.found:
            raise ModelError(
                f"{path} is called several times in one forward, so that its steps cannot be told "
                "from the calls. Give the whole sequence to one call."
            )
        if not call.data.requires_grad:
            call = dataclasses.replace(call, data=call.data.detach().requires_grad_())
        result, runs = run_layers(call)
        for index, run in enumerate(runs):
            name = f"{path}/l{index}"
            self.found[name] = run.call.data
            self._call[name] = call
        return result

    def by_step(self, name: str, gradient: Tensor) -> Tensor:
        """Return a gradient of a layer's inputs as (batch, steps, n_inputs)."""
        call = self._call[name]
        if call.batch_sizes is not None:  # packed rows of one length lie step by step
            gradient = gradient.unflatten(0, (len(call.batch_sizes), -1))
        elif call.batch_first:
            return gradient
        return gradient.transpose(0, 1)

    def _entering(self, path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any) -> None:
            self._active.append(path)

        return hook

    def _leaving(self, module: nn.Module, args: Any, output: Any) -> None:
        self._active.pop()


def _followed(model: nn.Module) -> dict[str, nn.RNNBase]:
    """Return the recurrent modules by escaped path, or refuse the model."""
    modules = ModuleNames(model).modules
    if model.training:
        raise ModelError(
            f"{type(model).__name__} is in train mode, where dropout changes every forward. Call "
            "model.eval() first; gradients flow in eval mode as well."
        )
    found = {escape(p): m for p, m in modules.items() if isinstance(m, nn.RNNBase)}
    cells = [path for path, module in modules.items() if isinstance(module, nn.RNNCellBase)]
    if not found:
        has = (
            f"its {', '.join(cells[:4])} are cells called in a loop, whose steps happen in your "
            "own code, where their inputs cannot be told apart"
            if cells
            else "it has no nn.LSTM, nn.GRU or nn.RNN"
        )
        raise ModelError(
            f"Gradients by lag cannot be followed through {type(model).__name__}: {has}. Write the "
            "recurrence with nn.LSTM, nn.GRU or nn.RNN."
        )
    for path, module in found.items():
        if module.bidirectional:
            raise ModelError(
                f"{path} is bidirectional: a position's loss sees what comes after it, and a lag "
                "says nothing. Only nets that run forward are measured."
            )
    return found

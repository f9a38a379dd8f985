"""The modules of a model: their names, which of them can be hooked, and what they offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import nn
from torch.nn.modules import module as torch_module
from torch.nn.modules import rnn as torch_rnn

from interp.sites import INPUT, OUTPUT, SIGNALS, SiteName

HOOKS_ON_ALL_MODULES = torch_module._global_forward_hooks
"""The forward hooks that torch calls for every module there is, ahead of its own."""
Offer = Callable[[nn.Module], Iterable[SiteName]]
_OFFERS: list[Offer] = []


def offers(function: Offer) -> Offer:
    """Register a function that names the sites a handler can record for a module.

    It is given a module and yields `SiteName`s with an empty module path; none for a module that
    it does not know.
    """
    _OFFERS.append(function)
    return function


def offered_by(module: nn.Module) -> list[SiteName]:
    """Return the sites that handlers can record for `module`, with an empty module path."""
    return [site for offer in _OFFERS for site in offer(module)]


class ModuleNames:
    """The paths of a model's modules.

    The model itself goes by its class in lower case, with underscores appended where a child has
    that name already. A module that is reachable by several paths has one name, the first; the
    others are aliases, which `canonical` resolves.

    Parameters
    ----------
    model : nn.Module
        The model.
    """

    def __init__(self, model: nn.Module) -> None:
        self.root = type(model).__name__.lower()
        while self.root in model._modules:
            self.root += "_"
        self.modules = {path or self.root: module for path, module in model.named_modules()}
        path_of = {module: path for path, module in self.modules.items()}
        self.aliases: dict[str, str] = {}
        for path, module in self.modules.items():
            prefix = "" if module is model else f"{path}."
            for name, child in module._modules.items():
                if child is not None and path_of[child] != prefix + name:
                    self.aliases[prefix + name] = path_of[child]

    def candidates(self) -> Iterator[SiteName]:
        """Yield every site that is known before the model has run, in model order."""
        for path, module in self.modules.items():
            yield SiteName(path, INPUT)
            yield SiteName(path, OUTPUT)
            for site in offered_by(module):
                yield SiteName(path, site.signal, site.layer, site.reverse)

    def spellings(self, path: str) -> Iterator[str]:
        """Yield `path` and its aliases."""
        yield path
        for alias, target in self.aliases.items():
            if path == target or path.startswith(f"{target}."):
                yield alias + path[len(target) :]

    def canonical(self, path: str) -> str:
        """Return the first name of the module that `path` leads to."""
        for alias, target in self.aliases.items():
            if path == alias or path.startswith(f"{alias}."):
                return target + path[len(alias) :]
        return path

    def order(self, site: SiteName) -> tuple[int, int, bool, int, str]:
        """Return the key that sorts sites in model order."""
        position = list(self.modules).index(site.module)
        signal = SIGNALS.index(site.signal) if site.signal in SIGNALS else len(SIGNALS)
        layer = -1 if site.layer is None else site.layer
        return position, layer, site.reverse, signal, site.signal


def is_from_torch(module: nn.Module) -> bool:
    """Return whether the module's class is torch's own, so that its code names no values."""
    return type(module).__module__.split(".")[0] == "torch"


def shows_all(module: nn.Module) -> bool:
    """Return whether all that a recurrent layer offers follows from its arguments and output.

    No function inside needs to be seen then. Several layers return only the last one's states; a
    class or a forward of the user's own may return other values, and so may a hook on all modules,
    which is called ahead of a module's own.
    """
    kind = type(module)
    if kind not in (nn.LSTM, nn.GRU, nn.RNN) or "forward" in vars(module) or HOOKS_ON_ALL_MODULES:
        return False
    if getattr(kind.forward, "__globals__", None) is not vars(torch_rnn):
        return False  # the forward of torch's class was replaced
    return bool(module.num_layers == 1 and not module.bidirectional)


def unhookable(model: nn.Module) -> dict[nn.Module, str]:
    """Return the modules in which hooks do not work, each with the reason and the remedy."""
    found: dict[nn.Module, str] = {}
    for module in model.modules():
        if module in found:
            continue
        if reason := _reason(module):
            found.update((inner, reason) for inner in module.modules())
    return found


def _reason(module: nn.Module) -> str | None:
    if isinstance(module, torch.jit.ScriptModule):
        return (
            "it is compiled by torch.jit (script or trace), whose code runs without Python hooks; "
            "record the module it was made from"
        )
    if hasattr(module, "_orig_mod"):
        return (
            "it is compiled by torch.compile, whose code may run without Python hooks; record "
            "the module it wraps, its ._orig_mod (outputs agree to rounding)"
        )
    if getattr(module, "_compiled_call_impl", None) is not None:
        return (
            "it was compiled in place by .compile(), and the compiled code may run without "
            "Python hooks; record the model before compiling it"
        )
    return None

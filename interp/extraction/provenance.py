"""Where a recording comes from: what somebody needs to make it again."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

import h5py
import numpy
import torch

if TYPE_CHECKING:
    from interp.extraction.options import Options
    from interp.models import LoadedModel


def collect(loaded: LoadedModel, options: Options, corpus: str, corpus_hash: str) -> dict[str, Any]:
    """Return the provenance of a run as a JSON-able dictionary.

    Parameters
    ----------
    loaded : LoadedModel
        Its specification and weights hash are what a resumed run must find again.
    options : Options
        The choices of the run.
    corpus : str
        The corpus in the user's words.
    corpus_hash : str
        SHA-256 of what it holds.
    """
    return {
        "model": {
            "spec": loaded.spec,
            "weights_hash": loaded.weights_hash,
            "random_init": loaded.random_init,
            **loaded.hashes,
        },
        "corpus": {"source": corpus, "hash": corpus_hash},
        "seed": options.seed,
        "device": options.device,
        "command": command_line() if options.command is None else options.command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            "interp": code_version(),
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "h5py": h5py.__version__,
            "numpy": numpy.__version__,
        },
        "machine": f"{platform.system()} {_processor(options.device)}",
        "n_threads": torch.get_num_threads(),
    }


def command_line() -> str:
    """Return the command as typed, the program by its name alone."""
    if not sys.argv or not sys.argv[0]:
        return "python"
    return shlex.join([os.path.basename(sys.argv[0]), *sys.argv[1:]])


def code_version() -> str:
    """Return the version of the installed package, or ``"unknown"``."""
    try:
        return metadata.version("interp")
    except metadata.PackageNotFoundError:
        import interp

        return str(getattr(interp, "__version__", "unknown"))


def _processor(device: str) -> str:
    if device.startswith("cuda"):
        return str(torch.cuda.get_device_name(device))
    return platform.machine()

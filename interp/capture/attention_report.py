"""What attention was asked for and is not recorded, said once and by name."""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from torch import nn

from interp.capture.attention import AttentionRun, run_of
from interp.capture.session import Session
from interp.errors import CaptureError
from interp.sites import ATTENTION, ATTENTION_SIGNALS, SiteName, compile_pattern

_CLASS = re.compile(r"attention|attn", re.IGNORECASE)
_PATH = re.compile(r"(^|[._])(self_|cross_|multihead_|multi_head_)?(attn|attention)$")
_UNSEEN = (
    "No attention was seen in {names}: it passes through none of scaled_dot_product_attention, "
    "multi_head_attention_forward, and a softmax whose result weights values (flex attention, "
    "custom kernels and a softmax written by hand don't). Modules can be named by "
    "Recorder(..., attention=[...]) where a softmax is called, and "
    "interp.capture.name_value('attention', weights) in the model's code records any weights."
)

_NO_PARTS = (
    "{name!r} is not known: the scores of that attention are not one plain product of queries and "
    "keys (a position term adds products of its own, say). Its weights and values are known."
)


def report(session: Session) -> None:
    """Refuse or warn where attention was asked for and not recorded.

    Raises
    ------
    CaptureError
        When all that a pattern asked for was refused, or nothing that it asked for was seen.
    """
    run = run_of(session)
    if run is None:
        return
    fired = [site.name for site in session.store.descriptions()]
    unseen = [] if run.said_unseen else _unseen(run)
    run.said_unseen = run.said_unseen or bool(unseen)
    for pattern in session.wanted.patterns:
        match = compile_pattern(pattern).fullmatch
        if any(map(match, fired)):
            continue
        for name, reason in session.refused.items():
            if match(name):
                raise CaptureError(reason)
        for path in sorted(run.seen):
            for signal in ATTENTION_SIGNALS[1:]:
                if match(str(SiteName(path, signal))):
                    raise CaptureError(_NO_PARTS.format(name=str(SiteName(path, signal))))
        missing = [path for path in unseen if match(str(SiteName(path, ATTENTION)))]
        if missing or (run.called and not fired and _asks_for_attention(pattern)):
            names = _some(missing) if missing else f"any of the {len(run.called)} modules that ran"
            raise CaptureError(_UNSEEN.format(names=names))
    if unseen:
        warnings.warn(_UNSEEN.format(names=_some(unseen)))
    refused = [name for name in session.refused if name not in run.said_refused]
    run.said_refused.update(refused)
    if refused:
        more = f" The same goes for {_some(refused[1:])}." if len(refused) > 1 else ""
        warnings.warn(session.refused[refused[0]] + more)


def _unseen(run: AttentionRun) -> list[str]:
    """Return the modules that look like attention, were called, and showed none."""
    return [
        path
        for path, module in run.called.items()
        if _looks_like_attention(path, module)
        and not any(_is_inside(other, path) or _is_inside(path, other) for other in run.seen)
        and not any(run.called.get(other) in set(module.modules()) for other in run.seen)
        and not any(other != path and _is_inside(other, path) for other in run.called
                    if _looks_like_attention(other, run.called[other]))
    ]  # fmt: skip


def _looks_like_attention(path: str, module: nn.Module) -> bool:
    return bool(_CLASS.search(type(module).__name__) or _PATH.search(path))


def _is_inside(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(f"{outer}.")


def _asks_for_attention(pattern: str) -> bool:
    return pattern.rpartition("/")[2] in ATTENTION_SIGNALS


def _some(names: Sequence[str], n: int = 6) -> str:
    more = f" and {len(names) - n} more" if len(names) > n else ""
    return ", ".join(map(repr, names[:n])) + more

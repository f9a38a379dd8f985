"""Which heads are induction heads, on fresh repetitions of random tokens, the model in the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from interp.errors import InterpError
from interp.wording import count
from probes.findings import plain
from probes.heads.findings import HeadScore
from probes.heads.repeated_run import RepeatedRun
from probes.heads.repeats import plain_tokens, repeated_documents

#: A head is called an induction head from this share of its attention on.
THRESHOLD = 0.5


@dataclass(frozen=True)
class InductionHead:
    """What one head does on repeated random tokens.

    Attributes
    ----------
    head : str
    prefix_matching : HeadScore
        Attention to the token after each earlier occurrence of the current one, at the rows of
        the second block; with chance and the best fixed offset.
    control : float
        Attention to the same keys when the second block is fresh tokens instead.
    previous : float
        Attention to the previous token, over all rows.
    copying : float or None
        Of its OV circuit, see :meth:`probes.heads.circuits.Circuits.copying`.
    is_induction : bool
        Prefix matching of at least the threshold, and its interval above chance, above the best
        fixed offset and above the control.
    """

    head: str
    prefix_matching: HeadScore
    control: float
    previous: float
    copying: float | None
    is_induction: bool


@dataclass
class InductionReport:
    """Whether a model has induction heads.

    Attributes
    ----------
    heads : list of InductionHead
        Highest prefix matching first.
    loss, accuracy : float
        Of the second block's tokens, given the repetition.
    control_loss, control_accuracy : float
        Of fresh tokens at the same places.
    n_documents, n_rows : int
    warnings : list of str
    parameters : dict
    """

    heads: list[InductionHead]
    loss: float
    accuracy: float
    control_loss: float
    control_accuracy: float
    n_documents: int
    n_rows: int
    warnings: list[str] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def induction_heads(self) -> list[str]:
        """The heads that are induction heads by the verdict."""
        return [head.head for head in self.heads if head.is_induction]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON-able dictionary."""
        return plain(asdict(self) | {"induction_heads": self.induction_heads})


def detect_induction(
    model: Any,
    n_documents: int = 64,
    length: int | None = None,
    *,
    tokens: Sequence[int] | None = None,
    sites: str | Sequence[str] = "**/attention",
    threshold: float = THRESHOLD,
    n_resamples: int = 500,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> InductionReport:
    """Score every head on fresh repetitions of random tokens (Olsson et al. 2022).

    Parameters
    ----------
    model : str, LoadedModel or Adapter
        A language model with causal attention.
    n_documents : int
    length : int, optional
        Tokens of a document; default: 128, or the model's context if that is shorter.
    tokens : sequence of int, optional
        The ids to draw from; default: those that stand for text.
    sites : str or sequence of str
        Attention sites, names or patterns.
    threshold : float
        Of the verdict.
    n_resamples, seed : int
    progress : callable, optional
        Called with the documents run and the documents in all, controls included; what it raises
        ends the work.

    Raises
    ------
    InterpError
        If the model is no language model or shows no square attention maps.
    """
    adapter = _adapter(model)
    longest = getattr(adapter, "context_length", None)
    start = _start_ids(adapter)
    room = 128 if length is None else length
    if longest is not None and room + len(start) > longest:
        if length is not None:
            raise InterpError(f"{length} tokens are more than the model's {longest} at once.")
        room = longest - len(start)
    chosen = plain_tokens(adapter.vocabulary) if tokens is None else tokens
    drawn = repeated_documents(chosen, n_documents, room, seed)
    run = RepeatedRun(adapter, start, drawn, sites)
    run.go(progress)
    parameters = {
        "n_documents": n_documents, "length": room, "n_tokens": len(chosen), "seed": seed,
        "threshold": threshold, "n_resamples": n_resamples,
    }  # fmt: skip
    return _report(run, parameters)


def _adapter(model: Any) -> Any:
    from interp.models import LoadedModel, load

    if isinstance(model, str):
        model = load(model)
    adapter = model.adapter if isinstance(model, LoadedModel) else model
    if not hasattr(adapter, "forward") or getattr(adapter, "predicts", None) != "next":
        raise InterpError(
            "Induction is tested on a language model that predicts the next token, given by a "
            "specification or an adapter (docs/recording-your-model.md)."
        )
    if tuple(getattr(adapter, "streams", ("text",))) != ("text",):
        raise InterpError("Induction is tested on models of one stream of text.")
    return adapter


def _start_ids(adapter: Any) -> np.ndarray:
    """Return what the model's tokenizer puts before any text: tokens of no characters."""
    try:
        ids, spans = adapter.encode("a")
    except Exception:  # an adapter of the user's may know no such character
        return np.zeros(0, np.int64)
    if spans is None:
        return np.zeros(0, np.int64)
    is_empty = np.asarray(spans)[:, 0] == np.asarray(spans)[:, 1]
    n_start = int(np.argmin(is_empty)) if len(is_empty) and not is_empty.all() else 0
    return np.asarray(ids, np.int64)[:n_start]


def _report(run: RepeatedRun, parameters: dict[str, Any]) -> InductionReport:
    threshold, seed = parameters["threshold"], parameters["seed"]
    copying, reason = run.copying()
    heads: list[InductionHead] = []
    for site, tally in run.tallies.items():
        scores = {(s.head, s.metric): s for s in tally.scores(parameters["n_resamples"], seed)}
        for h, head in enumerate(tally.site.heads):
            prefix, control = scores[head, "induction"], float(run.control[site].mean()[h])
            is_induction = (
                (prefix.value or 0) >= threshold
                and prefix.stands_out
                and prefix.interval[0] > control
            )
            previous = scores[head, "previous"].value or 0.0
            own = copying[site][h] if site in copying else None
            heads.append(InductionHead(head, prefix, control, previous, own, is_induction))
    heads.sort(key=lambda head: -(head.prefix_matching.value or 0))
    warnings = sorted({w for tally in run.tallies.values() for w in tally.warnings()})
    warnings += [reason] if reason else []
    if run.skipped:
        left = count(len(run.skipped), "site")
        warnings.append(f"{left} left out: not as many keys as queries")
    (loss, right, n), (control_loss, control_right, _) = (
        run.losses["repeated"],
        run.losses["control"],
    )
    return InductionReport(
        heads, loss / max(n, 1), right / max(n, 1), control_loss / max(n, 1),
        control_right / max(n, 1), len(run.drawn.ids), int(run.drawn.scored.sum()),
        warnings, parameters,
    )  # fmt: skip

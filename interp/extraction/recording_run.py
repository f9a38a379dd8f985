"""`record`: a model, a corpus and a file name; the library behind ``interp record``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from interp import arguments
from interp.errors import InterpError, RecordingError
from interp.extraction.options import (
    ATTENTION_SITES,
    DEFAULT_SITES,
    Options,
    as_patterns,
    as_texts,
    device_name,
    dtype_name,
)
from interp.extraction.progress import Display, Silent, rich_display
from interp.extraction.summary import Summary

if TYPE_CHECKING:
    from torch import nn

    from interp.corpora import CorpusLike
    from interp.models import Adapter, LoadedModel


def record(
    model: str | nn.Module | Adapter,
    corpus: CorpusLike | Iterable[Any],
    output: str | Path,
    *,
    sites: str | Sequence[str] | None = None,
    dtype: Any = "float16",
    batch_size: int = 32,
    window: int | None = None,
    stride: int | None = None,
    top_k: int = 5,
    max_document: int = 20_000,
    device: Any = "cpu",
    weights: str | Path | None = None,
    random_init: bool = False,
    download: bool = False,
    model_dtype: str = "auto",
    seed: int = 0,
    generate: int | None = None,
    temperature: float = 0.0,
    glob: str | None = None,
    lines: bool = False,
    field: str | None = None,
    encoding: str = "utf-8",
    forward: Callable[[Any, Any], Any] | None = None,
    lengths: Callable[[Any], Any] | None = None,
    names: Callable[[Any], Sequence[str]] | None = None,
    steps: str | Sequence[str] = (),
    batch_first: bool = True,
    nonfinite: str = "refuse",
    attention: str = "full",
    attention_dtype: str = "float16",
    attention_keys: str = "auto",
    overwrite: bool = False,
    resume: bool = False,
    commit_interval_s: float = 5.0,
    progress: bool | Display = False,
    command: str | None = None,
) -> Summary:
    """Run `model` over `corpus` and record the chosen sites into an HDF5 file.

    Parameters
    ----------
    model : str, torch.nn.Module or Adapter
        ``zoo:NAME``, ``hf:PATH_OR_NAME``, ``py:package.module:factory``, a module or an adapter;
        see :func:`interp.models.load`. Text needs an adapter. It is recorded in eval mode; a module
        of yours is in its own mode again afterwards.
    corpus : path, sequence of paths, mapping of name to text, Corpus, or iterable of batches
        Texts, see :func:`interp.corpora.read_corpus`; pairs of texts for an encoder–decoder, see
        :func:`interp.corpora.read_pairs`; images, see :func:`interp.corpora.read_images`; or a
        DataLoader or any other iterable of
        batches, together with `forward`.
    output : path
        The recording to write.
    sites : str or sequence of str, optional
        Names or patterns; by default ``"**/hidden"``, or ``"**/attention"`` where nothing is
        recurrent.
    dtype : {"float16", "float32", "float64"}, or NumPy's or torch's type of that name
        In which values are stored.
    batch_size : int
        Documents in one forward.
    window : int, optional
        Positions of a document in one forward, 256 by default; the state is carried from window to
        window. A model that cannot carry it reads documents whole, as many together as make up
        ``batch_size * window`` positions; documents longer than its context (or than `window`,
        with `stride`) are read in overlapping windows of this length.
    stride : int, optional
        From the start of one overlapping window to the start of the next; half a window by
        default. A position is recorded from the first window that holds it, which gives it most
        left context.
    top_k : int
        Most probable tokens kept per position; 0 records no predictions.
    max_document : int
        Longest document, in positions, for a model that cannot carry its state.
    device : str or torch.device
        Where the model runs, such as ``"cuda"``.
    weights : path, optional
        ``.safetensors`` or ``.pt`` for a ``py:`` factory.
    random_init : bool
        Draw the weights afresh, for a baseline.
    download : bool
        Fetch an ``hf:`` model from the hub where it is not in the local cache.
    model_dtype : str
        In which an ``hf:`` model computes; ``"auto"`` is the type of its weights.
    seed : int
        Of random initialisation and of whatever else is drawn.
    generate : int, optional
        Let the model continue each document (write the target of each source) by at most so many
        positions, and record it step by step, with its cache or state. What it wrote is marked by
        the annotation ``"generated"``.
    temperature : float
        Of what is drawn for `generate`; 0 takes the most probable token.
    glob, lines, field, encoding
        How text files are found and read; see :func:`interp.corpora.read_corpus`.
    forward : callable, optional
        ``forward(model, batch)`` runs the model on a batch; its result is ignored.
    lengths : callable, optional
        ``lengths(batch)`` gives the real steps of each row; see
        :func:`interp.extraction.batches.row_lengths` for what is read off by itself. For an
        encoder–decoder it gives a mapping of ``"source"`` and ``"target"`` to lengths (rows,) or
        masks (rows, steps); see :mod:`interp.extraction.batch_streams` for what is read off.
    names : callable, optional
        ``names(batch)`` gives a name for each row; rows are numbered by default.
    steps, batch_first
        Modules called once per step of a sequence, and the layout of modules that do not say it
        themselves; see :class:`interp.capture.Recorder`.
    nonfinite : {"refuse", "store"}
        What to do with NaN and infinities that the model itself computes.
    attention : str
        What is kept of attention sites: ``"full"`` maps; ``"top-p:0.95"``, of each row the fewest
        keys that hold that part of its mass; ``"stats"``, statistics of each row.
    attention_dtype : {"float16", "float32", "uint8"}
        In which weights of attention are stored.
    attention_keys : {"auto", "all"}
        Whether the keys that a query does not see are found out, and take no room, or each row
        has room for all keys of its document.
    overwrite, resume : bool
        Replace a file that exists, or continue it. Resuming with another model, corpus, site
        list or schedule is refused.
    commit_interval_s : float
        Seconds of work that a kill may cost.
    progress : bool or Display
        True shows estimate and progress on standard error.
    command : str, optional
        For the provenance; the process's own command line by default.

    Returns
    -------
    Summary
        What was recorded, how fast, and the mean loss.

    Raises
    ------
    InterpError
        One clear message: a bad argument, model, corpus or site, a value that does not fit the
        storage type, a full disk, Ctrl-C. Whatever was recorded before stays in the file.
    """
    options = Options(
        output=arguments.path("output", output, RecordingError),
        sites=as_patterns(sites),
        dtype=dtype_name(dtype),
        batch_size=batch_size,
        window=window,
        stride=stride,
        generate=generate,
        temperature=temperature,
        top_k=top_k,
        max_document=max_document,
        device=device_name(device),
        seed=seed,
        steps=as_texts("steps", steps),
        batch_first=batch_first,
        nonfinite=nonfinite,
        attention=attention,
        attention_dtype=attention_dtype,
        attention_keys=attention_keys,
        commit_interval_s=commit_interval_s,
        overwrite=overwrite,
        resume=resume,
        command=command,
    )
    options.check_output()
    from interp.corpora.images import names_images
    from interp.extraction.input_choice import GivenCorpus, Reading, is_documents
    from interp.models import load

    reading = Reading(glob, arguments.flag("lines", lines), field, encoding)
    arguments.function("forward", forward)
    arguments.function("lengths", lengths)
    arguments.function("names", names)
    given: GivenCorpus | None = None
    if forward is None and (is_documents(corpus) or (_has_adapter(model) and names_images(corpus))):
        given = GivenCorpus(corpus, reading)
    elif reading.is_said or generate is not None:
        raise InterpError("glob, lines, field and generate are for text; this corpus is batches.")
    with _modes_restored(model), _display(progress) as display:
        loaded = load(
            model,
            weights,
            random_init=random_init,
            seed=options.seed,
            device=options.device,
            download=download,
            model_dtype=model_dtype,
        )
        if given is not None:
            from interp.extraction.adapter_run import AdapterRun

            options = _with_sites(loaded, options, display)
            model_input, begin = given.input_of(loaded, options)
            return AdapterRun(loaded, model_input, options, display, begin).record()
        from interp.extraction.batch_run import BatchRun

        batches = cast(Iterable[Any], corpus)
        return BatchRun(loaded, batches, options, display, forward, lengths, names).record()


@contextmanager
def _modes_restored(model: Any) -> Iterator[None]:
    """Give each module of a model that the caller holds the mode back that it had."""
    from torch import nn

    module = model if isinstance(model, nn.Module) else getattr(model, "module", None)
    before = {}
    if isinstance(module, nn.Module):
        before = {part: part.training for part in module.modules()}
    try:
        yield
    finally:
        for part, training in before.items():
            part.training = training


def _with_sites(loaded: LoadedModel, options: Options, display: Display) -> Options:
    """Return the options; hidden states, the usual sites, are replaced where there are none."""
    from torch import nn

    kinds = (nn.RNNBase, nn.RNNCellBase)
    if options.sites != DEFAULT_SITES or any(isinstance(m, kinds) for m in loaded.module.modules()):
        return options
    display.said(
        f"{loaded.spec} has no recurrent net, so its attention is recorded ({ATTENTION_SITES[0]}); "
        "choose others with --sites."
    )
    return replace(options, sites=ATTENTION_SITES)


def _has_adapter(model: Any) -> bool:
    from torch import nn

    return not isinstance(model, nn.Module)


def _display(progress: bool | Display) -> AbstractContextManager[Display]:
    if progress is True:
        return rich_display()
    return nullcontext(Silent() if progress is False else progress)

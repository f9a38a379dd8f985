"""What the command line asks about dynamics: from a recording or a model to a finding kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import interp
from interp.errors import InterpError
from probes.dynamics.saturation import Saturation, measure_saturation
from probes.dynamics.subjects import KIND, Subject
from probes.dynamics.timescales import Timescales, measure_timescales
from probes.results import write_result

if TYPE_CHECKING:
    from probes.dynamics.fixed_points import FixedPoints
    from probes.dynamics.gradients import GradientByLag
    from probes.dynamics.jacobians import StepSpectra
    from probes.dynamics.spectra import WeightSpectrum
    from probes.dynamics.truncation import Truncation


def saturation_of(path: Path, save: bool = True, **options: Any) -> Saturation:
    """Measure the saturation of a recording's gates, and keep it beside the recording.

    Parameters
    ----------
    path : Path
    save : bool
    **options
        Of :func:`probes.dynamics.saturation.measure_saturation`.
    """
    return _kept(path, "saturation", measure_saturation, save, options)


def timescales_of(path: Path, save: bool = True, **options: Any) -> Timescales:
    """Measure the timescales of a recording's units, and keep them beside the recording.

    Parameters
    ----------
    path : Path
    save : bool
    **options
        Of :func:`probes.dynamics.timescales.measure_timescales`.
    """
    return _kept(path, "timescales", measure_timescales, save, options)


def _kept(
    path: Path, name: str, measure: Callable[..., Any], save: bool, options: dict[str, Any]
) -> Any:
    with interp.open(path) as recording:
        found = measure(recording, **options)
        if save:
            write_result(recording, KIND, name, found.parameters, found.to_dict())
    return found


def weights_of(
    subject: Subject, layers: list[str] | None = None, save: bool = True, output: Path | None = None
) -> list[WeightSpectrum]:
    """Return the spectra of a model's recurrent weights, and keep them.

    Parameters
    ----------
    subject : Subject
    layers : list of str, optional
    save : bool
        Beside the recording, if there is one.
    output : Path, optional
        A file to keep them in instead.
    """
    from probes.dynamics.spectra import weight_spectra

    found = weight_spectra(subject.module, layers)
    if save:
        result = {"gates": [spectrum.to_dict() for spectrum in found]}
        subject.keep("weights", {"layers": layers}, result, output)
    return found


def jacobian_of(
    subject: Subject,
    layers: list[str] | None = None,
    n_positions: int = 10,
    skip: int = 100,
    longest: int = 1_000,
    n_exponents: int = 0,
    seed: int = 0,
    save: bool = True,
    output: Path | None = None,
) -> list[StepSpectra]:
    """Return the spectra of a model's steps at positions of its text, and keep them.

    Parameters
    ----------
    subject : Subject
    layers : list of str, optional
    n_positions, skip, n_exponents, seed : int
        See :func:`probes.dynamics.jacobians.step_spectra`.
    longest : int
        Positions of each document that are read.
    save : bool
    output : Path, optional
    """
    import torch

    from probes.dynamics.jacobians import step_spectra
    from probes.dynamics.layers import chosen_layers
    from probes.dynamics.texts import require_text

    chosen_layers(subject.module, layers)  # refused before any text is read
    adapter = require_text(subject.loaded.adapter, subject.loaded.spec)
    documents = [ids[:longest] for ids in subject.documents() if len(ids) > max(skip, 1)]
    if not documents:
        raise InterpError(f"No document has more than {max(skip, 1):,} positions; skip fewer.")
    order = np.random.default_rng(seed).permutation(len(documents))[: max(1, min(n_positions, 10))]
    batches = [torch.from_numpy(np.asarray(documents[i], np.int64))[None] for i in np.sort(order)]
    found = step_spectra(
        subject.module, batches, layers=layers, n_positions=n_positions, skip=skip,
        n_exponents=n_exponents, seed=seed,
        forward=lambda model, ids: adapter.forward(ids, torch.tensor([ids.shape[1]]), None),
    )  # fmt: skip
    if save:
        parameters = {
            "layers": layers, "n_positions": n_positions, "skip": skip, "longest": longest,
            "n_exponents": n_exponents, "seed": seed,
        }  # fmt: skip
        result = {"layers": [s.to_dict() for s in found], "n_documents": len(batches)}
        subject.keep("jacobian", parameters, result, output)
    return found


def gradients_of(
    subject: Subject,
    n_lags: int = 100,
    n_windows: int = 32,
    truncate: Sequence[int] = (),
    clip_norm: float | None = None,
    fit: tuple[int, int] = (5, 25),
    seed: int = 0,
    save: bool = True,
    output: Path | None = None,
) -> GradientByLag:
    """Return the gradients by lag of a model on its text, and keep them.

    Parameters
    ----------
    subject : Subject
    n_lags, truncate, clip_norm, fit, seed
        See :func:`probes.dynamics.gradients.gradient_by_lag`.
    n_windows : int
        Stretches of text whose last loss is followed back.
    save : bool
    output : Path, optional
    """
    from probes.dynamics import texts
    from probes.dynamics.gradients import gradient_by_lag
    from probes.dynamics.layers import recurrent_layers

    recurrent_layers(subject.module)  # refused before any text is read
    adapter = texts.require_text(subject.loaded.adapter, subject.loaded.spec)
    found = gradient_by_lag(
        subject.module,
        texts.windows(adapter, subject.documents(), n_lags + 1, n_windows, seed),
        texts.losses,
        forward=texts.forward(adapter),
        n_lags=n_lags, truncate=truncate, clip_norm=clip_norm, fit=fit, seed=seed,
        documents=lambda window: window.documents.tolist(),
    )  # fmt: skip
    if save:
        parameters = found.parameters | {"n_windows": n_windows}
        subject.keep("gradients", parameters, found.to_dict(), output)
    return found


def truncation_of(
    subject: Subject,
    n_steps: int = 512,
    windows: Sequence[int] = (32, 128),
    clip_norm: float = 1.0,
    n_documents: int = 32,
    seed: int = 0,
    save: bool = True,
    output: Path | None = None,
) -> Truncation:
    """Compare truncated with full back-propagation on a model's text, and keep the comparison.

    Parameters
    ----------
    subject : Subject
    n_steps, windows, clip_norm
        See :func:`probes.dynamics.truncation.compare_truncation`.
    n_documents, seed : int
        Documents whose beginnings are read, and the seed of their draw.
    save : bool
    output : Path, optional
    """
    from probes.dynamics import texts
    from probes.dynamics.truncation import compare_truncation

    adapter = texts.require_text(subject.loaded.adapter, subject.loaded.spec)
    runs, n_read = texts.readers(adapter, subject.documents(), n_steps, n_documents, seed)
    found = compare_truncation(
        subject.module, runs, n_steps=n_steps, windows=windows, clip_norm=clip_norm,
        n_documents=n_read,
    )  # fmt: skip
    if save:
        parameters = found.parameters | {"n_documents": n_documents, "seed": seed}
        subject.keep("truncation", parameters, found.to_dict(), output)
    return found


def fixed_points_of(
    subject: Subject,
    module: str | None = None,
    inputs: Sequence[float] | None = None,
    token: str | None = None,
    read_out: str | None = None,
    save: bool = True,
    output: Path | None = None,
    **options: Any,
) -> FixedPoints:
    """Search a small model's fixed points from the states of its recording, and keep them.

    Parameters
    ----------
    subject : Subject
        With a recording of the hidden states, and of the cells of an LSTM.
    module : str, optional
        The recurrent module, if there are several.
    inputs : sequence of float, optional
        The constant input of the recurrent module; default: zeros.
    token : str, optional
        For a model that reads text: the token that is read over and over.
    read_out : str, optional
        A submodule, such as ``"head"``, that turns top hidden states into outputs.
    save : bool
    output : Path, optional
    **options
        Of :func:`probes.dynamics.fixed_points.find_fixed_points`.
    """
    from probes.dynamics.fixed_points import find_fixed_points
    from probes.dynamics.visited import constant_input, read_out_of, stack_of, visited_states

    stack = stack_of(subject.module, module)
    if subject.recording is None:
        raise InterpError(
            "Fixed points are searched for from states that the model visited; name a recording "
            "of its hidden states (and cells), made with interp.record, instead of the model."
        )
    constant = constant_input(subject.loaded, stack, inputs, token)
    states = visited_states(subject.recording, stack, seed=options.get("seed", 0))
    reader = None if read_out is None else read_out_of(subject.module, read_out)
    found = find_fixed_points(stack, states, constant, read_out=reader, **options)
    if save:
        parameters = found.parameters | {
            "module": stack.layers[0].module, "token": token, "read_out": read_out,
        }  # fmt: skip
        subject.keep("fixed_points", parameters, found.to_dict(), output)
    return found

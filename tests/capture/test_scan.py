"""The cell's recurrence: compiled, step by step, and in chunks of steps side by side."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from interp.capture.scan import Columns, chunk_lengths, scan_, scan_chunks_


def loop(gates, initial, sizes, reverse):
    """Read float64 rows step by step, sequence by sequence."""
    i, f, g = (gate.double() for gate in gates)
    cells = torch.empty_like(i)
    starts = [sum(sizes[:t]) for t in range(len(sizes))]
    for sequence in range(sizes[0]):
        cell = initial[sequence].double()
        steps = [t for t, size in enumerate(sizes) if sequence < size]
        for t in reversed(steps) if reverse else steps:
            row = starts[t] + sequence
            cell = cells[row] = f[row] * cell + i[row] * g[row]
    return cells


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    n_units=st.sampled_from([1, 3, 16, 21, 600]),
    reverse=st.booleans(),
    cut=st.integers(0, 8),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_cells_equal_a_loop_for_sequences_of_any_lengths(lengths, n_units, reverse, cut, dtype):
    torch.manual_seed(4)
    sizes = [sum(length > t for length in lengths) for t in range(max(lengths))]
    n_rows, initial = sum(sizes), torch.randn(len(lengths), n_units, dtype=dtype) * 20
    beside = torch.rand(n_rows, 4 * n_units, dtype=dtype)  # as gates lie in a layer's result
    places = [0, n_units, 2 * n_units]
    largest = torch.zeros(n_units, dtype=dtype)
    cells = torch.full((n_rows, n_units), torch.nan, dtype=dtype)
    # In two parts, as long sequences are read; the state goes from one to the other.
    parts = [part for part in (slice(0, cut), slice(cut, None)) if sizes[part]]
    previous = initial[: sizes[-1]] if reverse else initial
    for part in reversed(parts) if reverse else parts:
        first = sum(sizes[: part.start])
        rows = slice(first, first + sum(sizes[part]))
        gates = [Columns(beside[rows], place) for place in places]
        previous = scan_(cells[rows], gates, previous, initial, sizes[part], reverse, largest)
    last = sizes[0] if reverse else sizes[-1]
    assert len(previous) == last
    exact = loop([beside[:, n : n + n_units] for n in places], initial, sizes, reverse)
    bound = 1e-13 if dtype == torch.float64 else 2e-6
    torch.testing.assert_close(cells.double(), exact, rtol=bound, atol=bound)
    end = cells[:last] if reverse else cells[n_rows - last :]
    assert torch.equal(previous, end)
    assert torch.equal(largest, cells.abs().amax(0))


@pytest.mark.parametrize("n_steps", [256, 1999])
@pytest.mark.parametrize("bias", [3.0, 7.0, 100.0])
def test_every_cell_is_one_step_from_the_one_before_where_little_is_forgotten(bias, n_steps):
    torch.manual_seed(3)
    forget = (torch.randn(n_steps, 64) + bias).sigmoid()
    added = torch.sin(torch.arange(n_steps) / 7)[:, None] * torch.rand(64)
    first = torch.randn(1, 64) * 30
    for dtype, bound in ((torch.float32, 5e-7), (torch.float64, 1e-14)):
        kept, wanted, initial = forget.to(dtype), added.to(dtype), first.to(dtype)
        gates = [Columns(gate, 0) for gate in (torch.ones_like(kept), kept, wanted)]
        compiled, largest = torch.empty_like(kept), torch.zeros(64, dtype=dtype)
        scan_(compiled, gates, initial, initial, [1] * n_steps, False, largest)
        chunks = wanted.clone()[:, None]
        scan_chunks_(kept[:, None], chunks, initial, False, chunk_lengths(n_steps))
        for cells in (compiled, chunks[:, 0]):
            exact = kept.double() * torch.cat([initial, cells[:-1]]).double() + wanted
            errors = (cells - exact).abs() / exact.abs().clamp(min=1)
            assert errors.max() < bound


def test_a_scan_in_chunks_for_any_number_of_steps():
    torch.manual_seed(2)
    for n_steps in [*range(32, 90), 113, 256, 399, 997, 2000]:
        for reverse in (False, True):
            forget = torch.rand(n_steps, 2, 6)[..., 1:4]
            cells, first = torch.randn(n_steps, 2, 3), torch.randn(2, 3) * 20
            added = cells.double()
            last = scan_chunks_(forget, cells, first, reverse, chunk_lengths(n_steps))
            assert torch.equal(last, cells[0 if reverse else -1])
            before = torch.cat([cells[1:], first[None]] if reverse else [first[None], cells[:-1]])
            exact = forget.double() * before.double() + added
            torch.testing.assert_close(cells.double(), exact, rtol=2e-7, atol=2e-7)

"""The cells of a narrow layer, whose steps are read in chunks side by side."""

import pytest
import torch

from interp.capture.scan import scan_


def test_a_scan_in_chunks_for_any_number_of_steps():
    torch.manual_seed(2)
    for n_steps in [*range(32, 90), 113, 256, 399, 997, 2000]:
        for reverse in (False, True):
            forget = torch.rand(n_steps, 2, 6)[..., 1:4]
            cells, first = torch.randn(n_steps, 2, 3), torch.randn(2, 3) * 20
            added = cells.double()
            last = scan_(
                forget.flatten(0, 1), cells.view(-1, 3), first, first, [2] * n_steps, reverse
            )
            assert torch.equal(last, cells[0 if reverse else -1])
            before = torch.cat([cells[1:], first[None]] if reverse else [first[None], cells[:-1]])
            exact = forget.double() * before.double() + added
            torch.testing.assert_close(cells.double(), exact, rtol=2e-7, atol=2e-7)


@pytest.mark.parametrize("n_steps", [256, 1999])
@pytest.mark.parametrize("bias", [3.0, 7.0, 100.0])
def test_a_scan_in_chunks_rounds_no_more_than_steps_do_where_little_is_forgotten(bias, n_steps):
    torch.manual_seed(3)
    forget = (torch.randn(n_steps, 64) + bias).sigmoid()
    added = torch.sin(torch.arange(n_steps) / 7)[:, None] * torch.rand(64)
    first = torch.randn(1, 64) * 30
    for dtype, bound in ((torch.float32, 5e-7), (torch.float64, 1e-14)):
        cells, kept, initial = added.to(dtype), forget.to(dtype), first.to(dtype)
        cells = cells.clone()
        scan_(kept, cells, initial, initial, [1] * n_steps, False)
        exact = kept.double() * torch.cat([initial, cells[:-1]]).double() + added.to(dtype)
        errors = (cells - exact).abs() / exact.abs().clamp(min=1)
        assert errors.max() < bound

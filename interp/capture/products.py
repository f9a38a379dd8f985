"""Matrix products over many rows, at full precision and at the speed of the fused kernels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_MIN_INPUTS = 20480
"""Below this many input values torch doesn't give a convolution to oneDNN."""


def affine(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``rows @ weight.T + bias``.

    On a CPU, torch gives float32 products to MKL, which runs at half the machine's rate on
    processors of other makers than Intel, and convolutions to oneDNN, which doesn't. A
    convolution with a 1 × 1 kernel over channels-last data is the same product, to the order of
    summation. (The dilation has no meaning for such a kernel; torch takes it as a reason to use
    oneDNN also for a single image and a single thread.)

    Parameters
    ----------
    rows : Tensor
        (rows, n_inputs), contiguous.
    weight : Tensor
        (n_outputs, n_inputs).
    bias : Tensor or None
        (n_outputs,).

    Returns
    -------
    Tensor
        (rows, n_outputs), contiguous.
    """
    n_rows, n_inputs = rows.shape
    if not _prefers_convolution(rows):
        return F.linear(rows, weight, bias)
    image = rows.view(1, n_rows, 1, n_inputs).permute(0, 3, 1, 2)
    kernel = weight.reshape(-1, n_inputs, 1, 1)
    product = F.conv2d(image, kernel, bias, dilation=2).permute(0, 2, 3, 1)
    return product.reshape(n_rows, -1)


def _prefers_convolution(rows: Tensor) -> bool:
    return bool(
        rows.numel() > _MIN_INPUTS
        and rows.dtype == torch.float32
        and rows.device.type == "cpu"
        and rows.is_contiguous()
        and _HAS_ONEDNN
        and torch.backends.mkldnn.enabled
    )


_HAS_ONEDNN = torch.backends.mkldnn.is_available()

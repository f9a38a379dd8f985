"""A small tagger and what it reads."""

import pytest
import torch

from tests.capture.models import Tagger


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Tagger().eval()


@pytest.fixture
def ids():
    return torch.arange(10).reshape(2, 5) % 9

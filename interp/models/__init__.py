"""Models that can be recorded: specifications, adapters between text and model, bundled models."""

from interp.models.adapter import Adapter, ImageAdapter, PairAdapter
from interp.models.loading import LoadedModel, load

__all__ = ["Adapter", "ImageAdapter", "LoadedModel", "PairAdapter", "load"]

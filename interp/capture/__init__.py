"""Recording what happens inside a model while it runs.

`Recorder` is the entry; `docs/reconstruction.md` says how the cells and gates of fused recurrent
modules are obtained and what exact means. The handlers of torch's functions are one file per
family (`recurrent`, `cells`), registered by `mode.handles`.
"""

from interp.capture.naming import name_value
from interp.capture.recorder import Recorder, list_sites
from interp.capture.records import Captured

__all__ = ["Captured", "Recorder", "list_sites", "name_value"]

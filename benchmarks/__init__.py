"""Measurements of every bar the project holds itself to; `make bench` runs all of them.

Each module has ``BARS`` (name -> bar) and ``run(quick: bool) -> list[dict]`` with one dict per bar:
``{"name", "value", "bar", "direction": "max" | "min", "passed", "detail"}``.
"""

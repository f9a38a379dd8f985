"""Find and test what units stand for, from recordings."""

__interp_package__ = True  # interp.showing.import_ours looks for it

"""What attention heads do: figures per head with baselines, rollout, flow, alignment, induction.

Everything is a function of arrays; :mod:`probes.heads.scores` goes through a recording with them,
document by document.
"""

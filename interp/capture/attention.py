"""Attention weights of any model, from the calls that compute attention."""

"""Training of the bundled models, on data that every machine has."""

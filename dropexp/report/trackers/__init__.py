"""Runs as TensorBoard and MLflow have them. Start with `rows.py`, which both write."""

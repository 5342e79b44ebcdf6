"""Training on a Ray cluster.

May import what `training` may, and `training` itself. Start with `driver.py`.
"""

"""The commands: each parses its options, calls the library and prints.

May import every package; no package imports it. Start with `app.py`; `main.py` has the exit codes.
"""

"""From a config file to the runs of a study: schema, parsing, the table of variants, plugins.

It imports no other subpackage, and torch only before it runs a plugin. Start with `schema.py`, then `study.py`.
"""

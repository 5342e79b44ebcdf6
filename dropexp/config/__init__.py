"""From a config file to the runs of a study: schema, parsing, the table of variants, plugins. No torch.

It imports no other subpackage. Start with `schema.py`, then `study.py`.
"""

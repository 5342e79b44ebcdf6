"""Names from other libraries, and what they are here: keys, keep probabilities, values, and words of searches.

Start with `keys.py`.
"""

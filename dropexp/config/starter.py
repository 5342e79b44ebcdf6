"""The commented config that `config init` writes."""

from __future__ import annotations

from pathlib import Path

from dropexp.config import yaml
from dropexp.config.json_schema import FILE
from dropexp.config.names import is_name, normalised, safe
from dropexp.program import command

_TEXT = """\
# yaml-language-server: $schema=./{schema}
#
# Does dropout help? Here by about two points of test accuracy, after a minute on two cores. Change the question, and
# then the values that it is about.
#
#   {check}    all problems, and the number of runs
#   {train}           trains what is not finished; can be stopped and started again
#   {compare}
#
# Only `variant` is required, here or in the matrix or in every arm. `dropexp config keys` lists all keys.
{line:<28} # the folder in runs/

train_size: 1000             # images; `all` is 60,000. Dropout helps most with few images, trained for long.
hidden: [256, 256]           # the width of each hidden layer
drop_probs: [0.5, 0.5]       # for each of them, the probability to DROP a unit
input_drop_prob: 0.2         # the same for pixels
init: torch                  # initial weights as in nn.Linear
lr: 0.05
momentum: 0.9
lr_schedule: cosine
epochs: 200
eval_every: 20               # epochs; after the last one always

matrix:                      # every combination is a run
  variant: [none, scratch]   # without dropout; dropout from scratch. `nn` is nn.Dropout
  seed: 0..7                 # inclusive; fewer than six seeds cannot show a difference

# Instead of a full product, arms with names:
#
# arms:
#   none: {{variant: none}}
#   pixels: {{variant: scratch, drop_probs: [0, 0]}}
#   hidden: {{variant: scratch, input_drop_prob: 0}}
"""


def starter(file: Path) -> str:
    """Return the text for a file at this path."""
    stem = normalised(file.stem)
    name = stem if is_name(stem) else safe(stem)
    line = yaml.dump_line({"name": name})[1:-1]  # in braces, which keep the name on one line
    check, train = (command(*words, str(file)) for words in (("config", "check"), ("train",)))
    return _TEXT.format(schema=FILE, check=check, train=train, compare=command("compare", name), line=line)

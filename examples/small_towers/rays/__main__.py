"""Runs main.py as `python -m examples.small_towers.rays`."""

from absl import app
from absl import flags

from examples.small_towers.rays import main

# For --help, which describes the program that is run.
__doc__ = main.__doc__
flags.adopt_module_key_flags(main)

if __name__ == "__main__":
    app.run(main.main)

"""The machinery of an experiment, with one door: a script gives Experiment its functions and gets the rest for nothing.

experiment.py   from the command line to the figures
options.py      the command line
book.py         the record while it grows: what it has, what is missing
shapes.py       what a record must look like before anything is drawn of it
records.py      files written whole or not at all, by one process at a time
engine.py       Dask's workers, of this machine or of a cluster
worker.py       what happens there: the device, the data, a run
state.py        a run's state on disk, resumed at an epoch
progress.py     what is said meanwhile
"""

from .experiment import Experiment
from .options import Options

__all__ = ["Experiment", "Options"]

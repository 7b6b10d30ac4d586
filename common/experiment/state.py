"""The state of a run on disk: what is trained and resumed as one."""

import hashlib
import json
import os
import re
import sys
import time
import zipfile

import torch

from .book import identity
from .records import SCHEMA, atomic, plain


class Run:
    """What a script's train() is told of its run, and what keeps the rows of its finished epochs for fit().

    part: of the record; cases: what it trains, each of which becomes one entry there; epochs: how many;
    device: the torch.device to train on; rows, restore(), append(): what common.train.fit() needs.
    seconds: trained so far, in earlier starts too; where: what worker.describe() said where the last epoch was trained.
    """

    def __init__(self, folder, name, part, cases, epochs, device, settings, here, fresh, tell):
        """settings: what else determines the result; here: what worker.describe() says; tell(epochs): shows progress.

        The file's name carries a digest of all that determines the result, so that runs of other settings lie side by
        side.
        """
        self.part, self.cases, self.epochs, self.device = part, cases, epochs, device
        mine = {"settings": settings, "part": part, "epochs": epochs, "cases": [identity(case) for case in cases]}
        text = json.dumps(plain(mine), sort_keys=True)
        self._settings = json.loads(text)
        words = re.sub(r"[^\w.+-]+", "-", cases[0].name)
        self.path = folder / f"{name}-{words}-{hashlib.sha256(text.encode()).hexdigest()[:8]}.pt"
        self._here, self._tell = here, tell
        self._state = None if fresh else self._read()
        before = self._state or {"rows": [], "seconds": 0.0, "where": here}
        self.rows, self.seconds, self.where = before["rows"], before["seconds"], before["where"]
        self._began = time.monotonic() - self.seconds
        tell(len(self.rows))

    def _read(self):
        if not self.path.exists():
            return None
        try:
            damaged = zipfile.ZipFile(self.path).testzip()  # torch.load does not compare checksums
            state = None if damaged else torch.load(self.path, map_location="cpu", weights_only=True)
        except OSError:
            raise
        except Exception:  # whatever a reader says of bytes that nobody wrote
            state = None
        if not isinstance(state, dict) or "schema" not in state:
            aside = self.path.with_suffix(".bad")
            os.replace(self.path, aside)
            print(f"warning: {self.path} was damaged; it is now {aside.name} and the run starts again", file=sys.stderr)
            return None
        if state["schema"] != SCHEMA or state["settings"] != self._settings:
            raise OSError(f"{self.path} belongs to other settings or another version. Remove it, or use --fresh")
        return state

    def restore(self, model, optimizer):
        """Put the saved weights and moments back, where there are any."""
        if self._state:
            model.load_state_dict(self._state["model"])
            optimizer.load_state_dict(self._state["optimizer"])

    def append(self, row, model, optimizer):
        """Save the state behind an epoch with its row."""
        self.rows.append(row)
        self.seconds, self.where = time.monotonic() - self._began, self._here
        state = {
            "schema": SCHEMA,
            "settings": self._settings,
            "rows": self.rows,
            "seconds": self.seconds,
            "where": self.where,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        with atomic(self.path) as file:
            torch.save(state, file)
        self._tell(len(self.rows))

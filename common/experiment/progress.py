"""What is said while runs are trained: a bar on a terminal, plain lines in a log, and about how long it will take."""

import sys
import time

from tqdm import tqdm


class Progress:
    """Epochs done of `total`, where each network's epoch counts; what an earlier start has done is not in the pace."""

    def __init__(self, total):
        self._total, self._done, self._new = total, 0, 0
        self._began = self._said = time.monotonic()
        form = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}"
        self._bar = tqdm(total=total, bar_format=form, disable=not sys.stderr.isatty(), dynamic_ncols=True)

    def step(self, epochs, new=True):
        """Count so many epochs."""
        now = time.monotonic()
        if not self._new:
            self._began = now  # of the pace: the first epochs came with the start of the workers
        self._done += epochs
        text = "epochs"
        if new and self._new:
            seconds = (now - self._began) * (self._total - self._done) / self._new
            text += f", about {max(1, round(seconds / 60))} min left" if self._done < self._total else ""
        self._new += epochs * new
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(epochs)
        if epochs and self._bar.disable and (now - self._said > 10 or self._done == self._total):
            self._said = now
            print(f"{self._done}/{self._total} {text}", file=sys.stderr, flush=True)

    def say(self, text):
        """Print a line without breaking the bar."""
        self._bar.write(text, file=sys.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self._bar.close()

"""What is said while runs are trained: a bar on a terminal, plain lines in a log, and about how long it will take."""

import sys
import time

from tqdm import tqdm


class Progress:
    """Epochs done of all, where each network's epoch counts; what an earlier start has done is not in the pace."""

    def __init__(self, epochs, runs):
        self._epochs, self._runs, self.done, self._finished, self._new = epochs, runs, 0, 0, 0
        self._began, self._said = None, 0.0
        form = "{desc} {percentage:3.0f}%|{bar}|"
        self._bar = tqdm(total=epochs, bar_format=form, disable=not sys.stderr.isatty(), dynamic_ncols=True)

    def step(self, epochs, new=True, finished=False):
        """Count so many epochs, and a finished run; new: they were trained since the last step."""
        now, self.done, self._finished = time.monotonic(), self.done + epochs, self._finished + finished
        self._began = self._began or now  # of the pace: the first epochs came with the start of the workers
        self._new += epochs * new * (now > self._began)
        text = f"{self.done}/{self._epochs} epochs, {self._finished}/{self._runs} runs"
        if self._new and self.done < self._epochs and now - self._began > 10:  # sooner it would be a guess
            left = (now - self._began) * (self._epochs - self.done) / self._new
            text += f", about {max(1, round(left / 60))} min left"
        self._bar.set_description_str(text, refresh=False)
        self._bar.update(epochs)
        if self._bar.disable and (now - self._said > 10 or self._finished == self._runs):
            self._said = now
            print(text, file=sys.stderr, flush=True)

    def say(self, text):
        """Print a line without breaking the bar."""
        self._bar.write(text, file=sys.stderr)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self._bar.close()

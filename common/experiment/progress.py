"""What is said while runs are trained: a bar on a terminal, plain lines in a log, and about how long it will take."""

import sys
import time

from tqdm import tqdm


class Progress(tqdm):
    """Epochs done of all, where each case's epoch counts; what an earlier start has done is not in the pace."""

    def __init__(self, epochs, runs):
        form = "{desc} {percentage:3.0f}%|{bar}|"
        super().__init__(total=epochs, bar_format=form, disable=None, dynamic_ncols=True)  # None: where no terminal is
        self.done, self._new, self._finished, self._runs = 0, 0, 0, runs
        self._began, self._said = None, 0.0

    def step(self, epochs, new=True, finished=False):
        """Count so many epochs, and a finished run; new: they were trained since the last step."""
        now, self.done, self._finished = time.monotonic(), self.done + epochs, self._finished + finished
        self._began = self._began or now  # of the pace: the first epochs came with the start of the workers
        self._new += epochs * new * (now > self._began)
        text = f"{self.done}/{self.total} epochs, {self._finished}/{self._runs} runs"
        if self._new and self.done < self.total and now - self._began >= 60:  # sooner it would be a guess
            left = (now - self._began) * (self.total - self.done) / self._new
            text += f", about {max(1, round(left / 60))} min left"
        self.set_description_str(text, refresh=False)
        self.update(epochs)
        if self.disable and (now - self._said > 10 or self._finished == self._runs):
            self._said = now
            print(text, file=sys.stderr, flush=True)

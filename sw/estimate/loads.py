"""The load stage: LOADs of INP and WGT, issued ahead of the data of those before."""

from collections import deque

from vta.sw.estimate.loader import Loader, Transfer
from vta.sw.estimate.stage import InOrderStage, Wait
from vta.sw.rules import is_nop

__all__ = ["RETIRE", "LoadStage"]

RETIRE = 1  # cycles from the last write to retirement


class LoadStage(InOrderStage):
    """Starts LOADs as the loader takes them."""

    def __init__(self, *args, loader: Loader) -> None:
        super().__init__(*args)
        self._loader = loader
        self._open: deque[tuple[int, Transfer]] = deque()

    def advance(self) -> bool:
        """Start and retire what is known."""
        progress = self._loader.advance()
        while self.queue:
            index, arrival = self.queue[0]
            load = self.instructions[index]
            candidates, ready = self.earliest(load), self._loader.ready()
            if candidates is None or (ready is None and not is_nop(load)):
                break
            self.queue.popleft()
            candidates += [(max(arrival, self.last_start + 2), Wait.FETCH)]
            if is_nop(load):
                self.complete(index, self.start(index, candidates) + 1)
            else:
                assert ready is not None
                cycle = self.start(index, [*candidates, (ready, Wait.UNIT)])
                self._open.append((index, self._loader.add(cycle, load)))
            progress = True
        while self._open and (done := self._open[0][1].done) is not None:
            self.complete(self._open.popleft()[0], done + RETIRE)
        return self.retire() or progress

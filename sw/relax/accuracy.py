"""How close a network's outputs are to its original's, over all batches that were run.

>>> accuracy = Accuracy(network.manifest, network.originals)                  # doctest: +SKIP
>>> for inputs in batches: accuracy.add(network(inputs), inputs)              # doctest: +SKIP
>>> print(*accuracy.lines(), sep="\n")                                        # doctest: +SKIP
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vta.hw.errors import OptionError
from vta.sw.relax.inference import Run
from vta.sw.relax.manifest import Manifest, SavedValue
from vta.sw.relax.meaning import Meaning
from vta.sw.relax.originals import FLOAT, MEANING, Originals

__all__ = ["Accuracy", "Agreement", "classes"]

NAMES = {MEANING: "the quantised network", FLOAT: "the float network"}
CLASSES = 2  # an output of fewer numbers a sample has no largest one worth naming


@dataclass
class Agreement:
    """An output beside an original's, over all samples.

    Members
    -------
    original: MEANING or FLOAT.
    values, differ, largest: numbers, how many of them differ, and by how much at most.
    reach: the largest magnitude of the original's.
    error, power: sums of squares, of the differences and of the original.
    samples, top1: how many there were, and in how many the largest number is the same one; top1
        is None for an output that is no vector a sample.
    right: of labels, how many the original gets; None without labels.
    """

    output: str
    original: str
    values: int = 0
    differ: int = 0
    largest: float = 0.0
    reach: float = 0.0
    error: float = 0.0
    power: float = 0.0
    samples: int = 0
    top1: int | None = None
    right: int | None = None

    def add(self, found: np.ndarray, expected: np.ndarray) -> None:
        one, two = found.astype(np.float64), expected.astype(np.float64)
        off = np.abs(one - two)
        self.values += off.size
        self.differ += int(np.count_nonzero(off))
        self.largest = max(self.largest, float(off.max(initial=0)))
        self.reach = max(self.reach, float(np.abs(two).max(initial=0)))
        self.error += float((off**2).sum())
        self.power += float((two**2).sum())
        best, theirs = classes(found), classes(expected)
        if best is not None and theirs is not None:
            self.samples += len(best)
            self.top1 = (self.top1 or 0) + int((best == theirs).sum())

    def line(self) -> str:
        """In words."""
        text = f"{self.output} beside {NAMES[self.original]}: "
        if not self.differ:
            text += "the same numbers"
        else:
            share = f"{100 * self.differ / self.values:.3g}%"
            text += f"{share} of the numbers differ, by {self.largest:.3g} at most, where the "
            text += f"largest is {self.reach:.3g}"
        if self.top1 is not None:
            text += f"; the same class in {self.top1} of {self.samples}"
        return text


class Accuracy:
    """Outputs of runs beside those of what the network was made from.

    Arguments
    ---------
    labels: of all samples, in the order of the runs; of the first output that has classes.
    """

    def __init__(
        self, manifest: Manifest, originals: Originals, labels: np.ndarray | None = None
    ) -> None:
        self.manifest, self.labels = manifest, labels
        self.meaning = Meaning(manifest, originals)
        self.kinds = [name for name in (MEANING, FLOAT) if name in originals]
        self.found = {
            (value.name, kind): Agreement(value.name, kind)
            for value in manifest.outputs
            for kind in self.kinds
        }
        self.right: int | None = None
        self.seen = 0  # samples that had a label

    def add(self, run: Run, inputs: Mapping[str, np.ndarray]) -> None:
        """One run; one that came to no end counts for nothing.

        Raises
        ------
        NetworkError
            where an original cannot be run on the CPU.
        OptionError
            where the labels come to an end.
        """
        if run.stopped:
            return
        originals = {kind: self.meaning.outputs(kind, inputs) for kind in self.kinds}
        for (output, kind), agreement in self.found.items():
            agreement.add(run.outputs[output], originals[kind][output])
        self._label(run.outputs, originals)

    def _label(
        self, outputs: Mapping[str, np.ndarray], originals: Mapping[str, Mapping[str, np.ndarray]]
    ) -> None:
        if self.labels is None:
            return
        output = labelled(self.manifest.outputs)
        best = classes(outputs[output])
        assert best is not None
        labels = self.labels[self.seen : self.seen + len(best)]
        if len(labels) < len(best):
            raise OptionError(f"there are {len(self.labels)} labels, fewer than samples")
        self.seen += len(best)
        self.right = (self.right or 0) + int((best == labels).sum())
        for kind, arrays in originals.items():
            agreement, theirs = self.found[output, kind], classes(arrays[output])
            agreement.right = (agreement.right or 0) + int((theirs == labels).sum())

    def lines(self) -> Iterator[str]:
        """A line an output and original, and one for the labels."""
        yield from (each.line() for each in self.found.values() if each.values)
        if self.right is None:
            return
        text = f"right by the labels: {_share(self.right, self.seen)}"
        for each in self.found.values():
            if each.right is not None:
                text += f"; {NAMES[each.original]} {_share(each.right, self.seen)}"
        yield text

    def to_dict(self) -> dict[str, Any]:
        """For JSON; signal to noise in decibels, None where nothing differs."""
        agreements = []
        for each in self.found.values():
            one = {k: v for k, v in asdict(each).items() if k not in ("error", "power")}
            ratio = each.power / each.error if each.error else 0
            one["sqnr_db"] = 10 * float(np.log10(ratio)) if ratio > 0 else None
            agreements.append(one)
        return {"agreement": agreements, "labels": self.seen, "right": self.right}


def labelled(outputs: tuple[SavedValue, ...]) -> str:
    """The output that labels are of.

    Raises
    ------
    OptionError
        where none has classes.
    """
    for value in outputs:
        if _is_vector(value.shape):
            return value.name
    shapes = ", ".join(f"{value.name} {list(value.shape)}" for value in outputs)
    raise OptionError(f"labels are of an output with a number for each class: this has {shapes}")


def classes(output: np.ndarray) -> np.ndarray | None:
    """Where each sample's largest number is; None where a sample is no vector of them."""
    if not _is_vector(output.shape) or output.dtype.kind not in "fiu":
        return None
    return output.reshape(len(output), -1).argmax(axis=1)


def _is_vector(shape: tuple[int, ...]) -> bool:
    """Samples, then one axis alone that is longer than 1."""
    longer = [size for size in shape[1:] if size != 1]
    return len(longer) == 1 and longer[0] > CLASSES


def _share(count: int, total: int) -> str:
    return f"{count} of {total} ({count / total:.1%})"

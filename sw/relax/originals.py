"""What a compiled network keeps of what it was made from, to compare its runs with.

- meaning: the quantised network in normal form: what the file means, node by node.
- float: the float network, where it was quantised here.
- tflite: the file itself, where it is a quantised one: TFLite has a rounding of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import onnx_ir as ir

from vta.sw.relax.errors import NetworkError, one_line
from vta.sw.relax.read import file_format

__all__ = ["FLOAT", "MEANING", "TFLITE", "Originals"]

MEANING, FLOAT, TFLITE = "meaning.onnx", "float.onnx", "file.tflite"


@dataclass
class Originals:
    """Files by name, in memory or, once they are saved, in a directory.

    Members
    -------
    files: MEANING, FLOAT, TFLITE: those that there are.
    """

    files: dict[str, bytes | Path] = field(default_factory=dict)
    _models: dict[str, onnx.ModelProto] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, meaning: ir.Model, real: ir.Model | None = None, file: Path | None = None
    ) -> "Originals":
        """Arguments
        ---------
        real: the float network.
        file: the model file; kept where it is TFLite.
        """
        files: dict[str, bytes | Path] = {MEANING: serialized(meaning)}
        if real is not None:
            files[FLOAT] = serialized(real)
        elif file is not None and file_format(file) == "TFLite":
            files[TFLITE] = file.read_bytes()
        return cls(files)

    @classmethod
    def load(cls, directory: Path, names: Mapping[str, object]) -> "Originals":
        """Those of a directory; `names`: its files. They are read when they are asked for."""
        return cls({n: directory / n for n in (MEANING, FLOAT, TFLITE) if n in names})

    def __contains__(self, name: str) -> bool:
        return name in self.files

    def content(self, name: str) -> bytes:
        kept = self.files[name]
        return kept if isinstance(kept, bytes) else kept.read_bytes()

    def model(self, name: str) -> onnx.ModelProto:
        """MEANING or FLOAT.

        Raises
        ------
        NetworkError
            where the file is damaged.
        """
        if name not in self._models:
            try:
                self._models[name] = onnx.load_from_string(self.content(name))
            except Exception as error:  # protobuf's own
                raise NetworkError(f"{name}: it is no ONNX model: {one_line(error)}") from error
        return self._models[name]

    def save(self, directory: Path) -> list[str]:
        """Write them; their names. Those of a network that was there before are removed."""
        for name in (MEANING, FLOAT, TFLITE):
            if name in self.files:
                (directory / name).write_bytes(self.content(name))
            else:
                (directory / name).unlink(missing_ok=True)
        return list(self.files)


def serialized(model: ir.Model) -> bytes:
    """The model as bytes, without what its passes noted in it."""
    return ir.to_proto(model).SerializeToString(deterministic=True)

"""Writes one of the project's networks as an ONNX file."""

import argparse
import sys
from pathlib import Path

from vta.hw.errors import VtaError
from vta.sw.models.onnx import MODELS, model

EXAMPLES = """examples:
  python -m vta.sw.models.onnx resnet18
  python -m vta.sw.models.onnx detector -o build/detector.onnx --seed 3
  python -m vta.sw.models.onnx mobilenet_relu6 --batch-norm -o build/mobilenet.onnx
"""


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m vta.sw.models.onnx",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help=f"one of {', '.join(MODELS)}")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="default: build/NAME.onnx"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random weights (default 0)")
    parser.add_argument(
        "--batch-norm", action="store_true", help="keep batch norms as nodes of their own"
    )
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Writes the file; 0, or 2 where an argument is wrong."""
    args = _arguments().parse_args(arguments)
    path = args.output or Path("build") / f"{args.name}.onnx"
    try:
        made = model(args.name, seed=args.seed, batch_norm=args.batch_norm)
        data = made.SerializeToString(deterministic=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except (VtaError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{path}: {len(made.graph.node)} nodes, {len(data):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())

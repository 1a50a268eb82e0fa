"""What is raised about a network from a file."""

import onnx_ir as ir

from vta.hw.errors import VtaError, shown

__all__ = ["NetworkError", "at", "one_line"]


class NetworkError(VtaError, ValueError):
    """A network, or a file of one, that cannot be taken as it is.

    One line: the node or value by its name in the file, what is wrong, the limit, the way out.
    """


def at(node: ir.Node) -> str:
    """How a message names a node: operator and name, ``Conv conv1``; or what it makes."""
    domain = f"{node.domain}." if node.domain else ""
    name = node.metadata_props.get("source", node.name) or _made(node)
    return f"{shown(domain + node.op_type)} {shown(name)}"


def _made(node: ir.Node) -> str:
    names = [value.name for value in node.outputs if value.name]
    return names[0] if names else "nothing"


def one_line(error: object) -> str:
    """What a library says, for the end of a message: its first line that is not empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable if len(printable) <= LONGEST else printable[: LONGEST - 3] + "..."


LONGEST = 240  # characters of a library's message

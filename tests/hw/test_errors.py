"""Values from outside in messages: one line, printable, short; and the base of all errors."""

import pkgutil
from importlib import import_module

import pytest

from vta.hw.errors import OptionError, VtaError, check_range, integer, quoted, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ("a\nb\x1b", r"a\nb\x1b"),
        ("it's", "it's"),
        ("", ""),
        (5, "5"),
        (None, "None"),
        (1.5, "1.5"),
        ([1, "a"], "[1, 'a']"),
        ({"a": [1]}, "{'a': [1]}"),
        (10**5000, "a number of 16610 bits"),
    ],
    ids=range(10),
)
def test_values_are_shown_on_one_line(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize("value", ["x" * 1000, list(range(1000)), 10**1000, "\n" * 1000])
def test_long_values_are_cut(value: object) -> None:
    assert len(quoted(value)) < 100
    assert quoted(value).isprintable()


def test_nested_values_are_cut() -> None:
    nested: list = []
    for _ in range(900):
        nested = [nested]
    assert quoted(nested) == "[[[[[...]]]]]"


@pytest.mark.parametrize("text", ["", "x", "1.5", "9" * 201, "0x" + "f" * 5000, "01"])
def test_what_is_not_an_integer(text: str) -> None:
    with pytest.raises(OptionError, match=r"^rows is '.*'; it must be an integer$"):
        integer("rows", text)


def test_integers_and_ranges() -> None:
    assert [integer("n", text) for text in ("7", "-7", "0x10", "0b11")] == [7, -7, 16, 3]
    for value in (1, 5):
        check_range("n", value, 1, 5)
    for value in (0, 6):
        with pytest.raises(OptionError, match=f"^n is {value}; it must be 1 to 5$"):
            check_range("n", value, 1, 5)


INTERNAL = {  # never reach a user: stops of a model, proofs, registers inside the simulator
    "FormalError",
    "RegisterError",
    "Stop",
}


def test_every_error_has_the_one_base_class() -> None:
    """An exception class of its own that is no VtaError would show as a bug."""
    strays = set()
    for folder in ("hw", "sw", "sim"):
        package = import_module(f"vta.{folder}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.endswith(("__main__", "sim.testbench", ".train_digits")):
                continue
            for name, found in vars(import_module(module.name)).items():
                mine = isinstance(found, type) and found.__module__ == module.name
                if mine and issubclass(found, Exception) and not issubclass(found, VtaError):
                    strays.add(name)
    assert strays <= INTERNAL

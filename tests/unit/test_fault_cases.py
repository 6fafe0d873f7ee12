"""No case of the fault list is lost: each is a test by its name, on real sockets."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
ON_REAL_SOCKETS = ("wire", "fault")
CASES = {f"F{number:02}" for number in range(1, 31)}
_CASE = re.compile(r"F\d\d(?=_)")


def names() -> Iterator[str]:
    for folder in ON_REAL_SOCKETS:
        for file in sorted((TESTS / folder).glob("test_*.py")):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_"):
                    yield node.name


def test_every_case_is_a_test_by_its_name() -> None:
    assert {case for name in names() for case in _CASE.findall(name)} == CASES

"""What users pass, and what stages of their own return, checked against what is expected."""

import math
from collections.abc import Iterable
from typing import Any, TypeVar

from mien.errors import InputError, SettingError

_T = TypeVar("_T")


def check_kind(value: object, kind: type[Any], what: str) -> None:
    """Check the type of what a user passed.

    Args:
        value: what came.
        kind: what it should be.
        what: the argument, for the error.

    Raises:
        InputError: it is something else.
    """
    if not isinstance(value, kind):
        raise InputError(f"expected {what} as {kind.__name__}, got {type(value).__name__}")


def as_number(value: object, what: str) -> float:
    """A finite number that a user passed.

    Args:
        value: what came.
        what: the argument, for the error.

    Raises:
        InputError: it is no number, or not a finite one.
    """
    try:
        if math.isfinite(value):  # type: ignore[arg-type]
            return value  # type: ignore[return-value]
    except TypeError:
        raise InputError(f"expected {what} as a number, got {type(value).__name__}") from None
    raise InputError(f"expected {what} as a finite number, got {value}")


def check_stage(stage: object, contract: type[Any], expected: str) -> None:
    """Check that a stage has what its contract names.

    Args:
        stage: what a user passed.
        contract: a protocol that can be checked at run time.
        expected: what it should be, for the error.

    Raises:
        SettingError: something is missing.
    """
    if not isinstance(stage, contract):
        raise SettingError(f"expected {expected}, got {type(stage).__name__}")


def as_results(found: object, kind: type[_T], by: str, number: int | None = None) -> list[_T]:
    """What a stage returned, as a list.

    Args:
        found: what it returned.
        kind: of each result.
        by: the method that returned it, for the error.
        number: how many there should be; None for any.

    Raises:
        InputError: something else than results of this kind, or another number of them.
    """
    expected = f"expected {by} to return a list of {kind.__name__}"
    if not isinstance(found, Iterable) or isinstance(found, str | bytes):
        raise InputError(f"{expected}, got {type(found).__name__}")
    results = list(found)
    for result in results:
        if not isinstance(result, kind):
            raise InputError(f"{expected}, got one with {type(result).__name__}")
    if number is not None and len(results) != number:
        raise InputError(f"{expected}, one for each of {number}, got {len(results)}")
    return results

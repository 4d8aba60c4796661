"""Stages that users make: what they are and return, checked against their contracts."""

from collections.abc import Iterable
from typing import Any, TypeVar

from mien.errors import InputError, SettingError

_T = TypeVar("_T")


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

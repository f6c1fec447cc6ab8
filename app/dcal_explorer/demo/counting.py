"""Counting from 1, as people do; the core counts from 0."""

from dcal import DCALError


def from_one(what: str, number: float | None, count: int) -> int:
    """The index, counted from 0, of something that the page counts from 1. Raises DCALError outside 1 … count."""
    if not isinstance(number, int | float) or not 1 <= number <= count or number != int(number):
        raise DCALError(f"There is no {what} {number}: choose 1 to {count}.")
    return int(number) - 1


def numbers(what: str, count: int) -> list[str]:
    return [f"{what} {number}".strip() for number in range(1, count + 1)]

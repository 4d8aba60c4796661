"""The interval of a share."""

from mien.cluster.summary import wilson


def test_wilson_interval() -> None:
    # 10 of 100: Newcombe, "Two-sided confidence intervals for the single proportion", 1998.
    assert wilson(10, 100) == (0.0552, 0.1744)
    assert wilson(0, 10)[0] == 0.0
    assert wilson(10, 10)[1] == 1.0

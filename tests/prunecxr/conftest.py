"""The made-up cohort of the classifiers' tests."""

from tests.classification.conftest import cohort

__all__ = ["cohort"]

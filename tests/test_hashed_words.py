"""Hashed vectors tell words apart and know like ones, without a model."""

import numpy as np

from cxrflow.hashed_words import hashed_vectors


def test_hashed_vectors_of_like_words_are_alike_and_have_length_one() -> None:
    one, many, other, nothing = hashed_vectors(["effusion", "effusions", "cardiomegaly", ""], 128)
    assert one @ many > 0.5 > abs(one @ other)
    np.testing.assert_allclose(np.linalg.norm([one, many, other], axis=1), 1, rtol=1e-6)
    assert not nothing.any()

"""One classifier for every number of labels and seed."""

import pytest

from cxrflow.igcl.transfer_runs import levels_of, runs_of
from cxrflow.igcl.transfer_settings import LinearSettings, TransferSettings


def test_runs_are_every_level_with_every_seed() -> None:
    linear = LinearSettings(fractions=(1.0, 0.1), shots=(5,), seeds=(0, 1))
    chosen = TransferSettings(linear=linear, finetuning=None)
    assert [level.name for level in levels_of(linear)] == ["0.1", "1", "5-shot"]
    assert len({run.name for run in runs_of(chosen)}) == 6


@pytest.mark.parametrize("bad", [{"fractions": (), "shots": ()}, {"fractions": (0.1, 0.1)}, {"fractions": (0.0,)}])
def test_settings_without_or_with_double_levels_are_errors(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="fractions"):
        LinearSettings.model_validate(bad)

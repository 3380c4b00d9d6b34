"""Features are the network's in evaluation mode, a file per patient, made once per encoder, and one array of all."""

import json
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from tests.clear.made_up_patients import write_cohort

from cxrflow.clear import features
from cxrflow.clear.architectures import build
from cxrflow.clear.downstream_settings import EncoderSettings, FeatureSettings
from cxrflow.clear.encoder_files import write_encoder
from cxrflow.clear.feature_store import FeatureStore, PatientFeatures, write_store
from cxrflow.clear.features import FeatureFiles, extract_features
from cxrflow.clear.slice_encoders import EncoderChoice
from cxrflow.clear.slice_order import slices_in_order
from cxrflow.cohort.cohort_files import CohortFiles
from cxrflow.errors import UserError
from cxrflow.files import sha256
from cxrflow.provenance import read_list
from cxrflow.radiographs import read_images

torch.set_num_threads(1)

CHOICE = EncoderChoice("scratch", 0, EncoderSettings(source="scratch"), "conv_small", 32)
SETTINGS = FeatureSettings(batch_size=4)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> CohortFiles:
    return write_cohort(tmp_path_factory.mktemp("cohort"), patients=8)


def files_of(root: Path) -> FeatureFiles:
    return FeatureFiles(root / "f.npy", root / "f.npz", root / "f.csv", root / "f.sha256", root / "f")


def extract(
    cohort: CohortFiles, root: Path, choice: EncoderChoice = CHOICE, window: tuple[float, float] = (0, 1)
) -> FeatureStore:
    outputs = files_of(root)
    extract_features(cohort, choice, outputs, SETTINGS, window, 1, [])
    return FeatureStore.open(outputs.features, outputs.index)


@pytest.fixture(scope="module")
def made(cohort: CohortFiles, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FeatureStore]:
    root = tmp_path_factory.mktemp("made")
    return root, extract(cohort, root)


def test_slices_are_in_the_order_of_the_scan(cohort: CohortFiles) -> None:
    slices = slices_in_order(cohort)
    assert len(slices) == len(pd.read_parquet(cohort.manifest))
    assert slices["patient_id"].is_monotonic_increasing
    for _, own in slices.groupby("study_id"):
        numbers = own["image_id"].str.extract(r"_(\d+)\.png")[0].astype(int)
        assert numbers.diff().dropna().eq(1).all(), "8, 9, 10 and not 10, 8, 9"


def test_features_are_those_of_the_network_in_evaluation_mode(
    cohort: CohortFiles, made: tuple[Path, FeatureStore]
) -> None:
    root, store = made
    slices, images, network = slices_in_order(cohort), cohort.store(), CHOICE.build()
    assert not network.training
    with torch.no_grad():
        expected = network(read_images(images.images, images.rows(slices["image_id"]))).numpy()
    assert store.images.tolist() == slices["image_id"].tolist()
    np.testing.assert_allclose(store.features, expected, atol=5e-3, rtol=5e-3)
    for number, patient in enumerate(store.patients):
        with h5py.File(root / "f" / f"{patient}.h5") as file:
            assert file["feats"].dtype == np.float32
            own = slices["patient_id"] == patient
            np.testing.assert_allclose(file["feats"][:], expected[own], atol=1e-4, rtol=1e-4)
            assert np.char.decode(file["images"][:]).tolist() == slices.loc[own, "image_id"].tolist()
            assert file.attrs["encoder_sha256"] == store.encoder == network.sha256()
            assert len(file["feats"]) == store.offsets[number + 1] - store.offsets[number]
    table = pd.read_csv(root / "f.csv", dtype={"patient_id": str})
    assert table["file"].tolist() == [f"{patient}.h5" for patient in store.patients]
    digests = read_list(root / "f.sha256")
    assert digests == {file: sha256(file) for file in (root / "f").iterdir()}, "no file is left out"


def test_only_missing_patients_are_looked_at(
    cohort: CohortFiles, made: tuple[Path, FeatureStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, store = made
    looked_at: list[str] = []
    whole = features.features_of

    def counted(network, images, slices, settings):
        looked_at.append(slices["patient_id"].iloc[0])
        return whole(network, images, slices, settings)

    monkeypatch.setattr(features, "features_of", counted)
    before = [(root / name).read_bytes() for name in ("f.npy", "f.npz", "f.csv", "f.sha256")]
    lost, damaged = store.patients[2], store.patients[5]
    (root / "f" / f"{lost}.h5").unlink()
    (root / "f" / f"{damaged}.h5").write_bytes(b"half a file")
    extract(cohort, root)
    assert looked_at == [lost, damaged]
    assert [(root / name).read_bytes() for name in ("f.npy", "f.npz", "f.csv", "f.sha256")] == before
    extract(cohort, root, window=(0, 2))
    assert len(looked_at) == 2 + len(store.patients), "other pixels"
    extract(cohort, root, replace(CHOICE, seed=1))
    assert len(looked_at) == 2 + 2 * len(store.patients), "another encoder"


def test_bags_are_the_slices_of_a_patient_or_of_a_study(made: tuple[Path, FeatureStore]) -> None:
    store = made[1]
    starts, counts = store.bags(["000001", "000001_00", "000001_01"])
    assert counts[0] == counts[1] + counts[2]
    assert starts[2] == starts[1] + counts[1]
    for start, count, name in zip(starts[1:], counts[1:], ("000001_00", "000001_01"), strict=True):
        assert set(store.studies[start : start + count]) == {name}
    with pytest.raises(UserError, match="1 of 2 patients"):
        store.bags(["000001", "nobody"])


def test_features_beyond_half_precision_are_an_error(tmp_path: Path) -> None:
    found = [PatientFeatures(np.full((1, 2), 1e5, dtype=np.float32), ["a"], ["s"])]
    with pytest.raises(UserError, match="half precision"):
        write_store(tmp_path / "f.npy", tmp_path / "f.npz", ["p"], found, [1], 2, "x")
    assert not (tmp_path / "f.npy").exists()


def test_encoders_are_told_apart_by_their_weights_and_what_they_see(tmp_path: Path) -> None:
    network = build("conv_small", 32)
    write_encoder(tmp_path / "w.safetensors", network, "conv_small", 32, "moco")
    pretrained = EncoderChoice(
        "a", 0, EncoderSettings(source="pretrained"), "conv_small", 32, tmp_path / "w.safetensors"
    )
    named = EncoderChoice(
        "b", 5, EncoderSettings(source="file", weights=str(tmp_path / "w.safetensors")), "conv_small", 32
    )
    digests = [choice.build().sha256() for choice in (pretrained, named, CHOICE, replace(CHOICE, image_size=48))]
    assert digests[0] == digests[1], "the same weights from the same file"
    assert len(set(digests)) == 3
    assert CHOICE.build().sha256() == digests[2], "random weights are those of the seed"


def test_a_timm_network_sees_slices_as_its_weights_expect(tmp_path: Path) -> None:
    import timm

    network = timm.create_model("test_vit", num_classes=0)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    settings = EncoderSettings(source="timm", name="test_vit", weights=str(tmp_path / "w.safetensors"))
    encoder = EncoderChoice("t", 0, settings, "conv_small", 32).build()
    side, looks = network.pretrained_cfg["input_size"][-1], network.pretrained_cfg
    grey = torch.rand(2, 1, side, side)
    mean, std = (torch.tensor(looks[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        torch.testing.assert_close(encoder(grey), network.eval()((grey.expand(-1, 3, -1, -1) - mean) / std))
        assert encoder(torch.rand(3, 1, 32, 32)).shape == (3, encoder.width)


@pytest.mark.parametrize(
    "bad", [{"source": "timm"}, {"source": "file"}, {"source": "scratch", "weights": "x"}, {"source": "open_clip"}]
)
def test_encoders_without_what_they_need_are_errors(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"name|weights"):
        EncoderSettings.model_validate(bad)


def test_an_image_tower_of_open_clip_gives_what_it_embeds_images_as(tmp_path: Path) -> None:
    import open_clip

    vision = {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 64}
    text = {"context_length": 8, "vocab_size": 32, "width": 16, "heads": 2, "layers": 1}
    looks = {"mean": [0.4, 0.4, 0.4], "std": [0.2, 0.2, 0.2]}
    config = {"model_cfg": {"embed_dim": 12, "vision_cfg": vision, "text_cfg": text}, "preprocess_cfg": looks}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    clip = open_clip.create_model(f"local-dir:{tmp_path}", load_weights=False).eval()
    save_file(clip.state_dict(), tmp_path / "open_clip_model.safetensors")
    encoder = EncoderChoice("o", 0, EncoderSettings(source="open_clip", name=str(tmp_path)), "conv_small", 32).build()
    grey = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(encoder(grey), clip.encode_image((grey.expand(-1, 3, -1, -1) - 0.4) / 0.2))
    assert encoder.width == 12
    absent = EncoderChoice("o", 0, EncoderSettings(source="open_clip", name=str(tmp_path / "none")), "conv_small", 32)
    with pytest.raises(UserError, match=r"clear\.downstream\.encoders\.o\.name"):
        absent.build()

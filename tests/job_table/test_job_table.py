import pandas as pd
import pytest
from pydantic import ValidationError

from cxrflow.job_table.plan import ROOT, PlannedJob, read_layers
from cxrflow.job_table.rates import MINUTE, Part, Rates, read_rates
from cxrflow.job_table.sizes import SIZES
from cxrflow.job_table.table import COUNTED, estimates, printed, rows_of, totals
from cxrflow.job_table.units import UNITS, Work

LAYERS = [ROOT / "workflow/presets" / name for name in ("paper_cohorts.yaml", "paper.yaml")]


@pytest.fixture(scope="module")
def config():
    return read_layers(LAYERS)


@pytest.fixture(scope="module")
def rates():
    return read_rates()


@pytest.fixture
def work(config):
    def of(rule, threads=1, **wildcards):
        return Work(PlannedJob(rule, wildcards, threads), config)

    return of


def test_every_cohort_of_the_plan_has_a_size_whose_splits_are_part_of_it(config):
    assert set(config.run.cohorts) == set(SIZES)
    for size in SIZES.values():
        assert 0 < size.train + size.validate + size.test <= size.images


def test_the_sweep_is_39_passes_over_the_test_split(work, rates):
    # 20 sparsities of two methods, the whole network once; 11 GFLOP a radiograph at 15 TFLOP/s: some 10 minutes.
    hours = rates.hours(work("prunecxr_sweep", cohort="nih", seed="0", chunk="0"))
    assert hours == pytest.approx(39 * 22_424 * 0.011 / 15 / 3600)
    assert 9 < hours * 60 < 12


def test_bytes_follow_from_the_shapes(work, rates):
    def gigabytes(rule, **wildcards):
        return rates.gigabytes(work(rule, **wildcards))

    assert gigabytes("cohort_image_store", cohort="nih", size="256") == pytest.approx(112_120 * 256**2 / 1e9)
    assert gigabytes("neural_export_attention", cohort="mimic-10k") == pytest.approx(10_000 * 144 * 1024 * 2 / 1e9)
    predictions = 30 * gigabytes("prunecxr_sweep", cohort="nih", seed="0", chunk="0")
    assert predictions == pytest.approx(30 * 22_424 * 20 * 39 * 4 / 1e9)
    assert gigabytes("cohort_split", cohort="nih") == gigabytes("no_such_rule", cohort="nih") == 0


def test_a_frozen_model_is_trained_for_the_epoch_of_its_heads_alone(work, rates):
    frozen, trained = (rates.hours(work("patchib_train", cohort="mimic-cxr", model=model)) for model in ("0", "A"))
    assert trained == pytest.approx(41 * frozen)
    assert 5 < trained < 7


def test_processors_divide_the_work_that_they_share_and_no_other(work, rates):
    def hours(rule, threads):
        return rates.hours(work(rule, threads, cohort="mimic-cxr", size="224"))

    assert hours("cohort_image_store", 8) == pytest.approx(hours("cohort_image_store", 1) / 8)
    assert hours("cohort_manifest", 8) == hours("cohort_manifest", 1)


def test_each_analysis_of_forgetting_counts_its_own_seeds_and_levels(work, config):
    def counted(cohort, room):
        return UNITS["seeds x levels x resamples"](work("forgetting_tables", cohort=cohort, room=room))

    assert counted("nih", "prunecxr") == 30 * 39 * config.prunecxr.forgetting.resamples
    assert counted("mimic-10k", "neural/forgetting") == 5 * 10 * config.neural.forgetting.resamples
    shares = len(config.patchib.evaluation.keep_ratios)
    assert counted("mimic-cxr", "patchib/forgetting") == 3 * shares * config.patchib.forgetting.resamples


def test_the_totals_are_the_sums_of_the_jobs(config, rates):
    jobs = [
        *(PlannedJob("prunecxr_train", {"cohort": "nih", "seed": str(seed)}, gpus=1) for seed in range(3)),
        PlannedJob("cohort_manifest", {"cohort": "nih"}, threads=8),
        PlannedJob("cohort_manifest", {"cohort": "deeplesion"}, threads=8),
        PlannedJob("write_config", {}),
    ]
    found = estimates(jobs, config, rates)
    rows = rows_of(found)
    summed = totals(rows).set_index("room")
    assert summed.loc["all", "jobs"] == rows["jobs"].sum() == len(jobs)
    assert summed.loc["all", "GPU hours"] == pytest.approx(sum(each.hours for each in found if each.job.gpus))
    processors = sum(each.hours * each.job.threads for each in found if not each.job.gpus)
    assert summed.loc["all", "CPU hours"] == pytest.approx(processors)
    assert summed.drop("all")[COUNTED].sum().to_numpy() == pytest.approx(summed.loc["all", COUNTED].to_numpy(float))
    manifest = rows.set_index("rule").loc["cohort_manifest"]
    assert manifest["hours per job"] == max(each.hours for each in found if each.job.rule == "cohort_manifest")


def test_a_rule_without_a_rate_is_told_and_not_counted(config, rates):
    jobs = [PlannedJob("new_rule", {"cohort": "nih"}, gpus=1), PlannedJob("write_config", {})]
    rows = rows_of(estimates(jobs, config, rates))
    assert "no rate" in printed(rows)
    assert pd.isna(rows.set_index("rule").loc["new_rule", "GPU hours"])
    assert totals(rows).set_index("room").loc["all", "CPU hours"] == pytest.approx(MINUTE)


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        ({"unit": "images"}, "exactly one"),
        ({"unit": "images", "seconds": 1, "bytes": 1}, "exactly one"),
        ({"unit": "images", "tflop": 1}, "both or none"),
        ({"unit": "apples", "seconds": 1}, "unknown unit 'apples'"),
    ],
)
def test_a_rate_has_one_number_and_a_known_unit(mistake, told):
    with pytest.raises(ValidationError, match=told):
        Part.model_validate({**mistake, "source": "nowhere"})


def test_operations_are_done_at_a_known_speed():
    part = {"unit": "images", "tflop": 1, "at": "light", "source": "nowhere"}
    with pytest.raises(ValidationError, match="unknown speeds"):
        Rates.model_validate({"tflops": {"fp32": 15}, "rules": {"a": [part]}})


def test_a_model_of_patchib_is_no_encoder_of_igcl_where_it_stands_for_itself(work, config):
    about = config.igcl.transfer.initialisations
    others = [name for name, one in about.items() if one.weights != "patchib"]
    assert 0 < len(others) < len(about)
    units = UNITS["images x encoders"]
    both, alone = (
        units(work("summary_embed", cohort=name, source=name, system="igcl")) / SIZES[name].images
        for name in ("mimic-cxr", "chexpert")
    )
    assert both == len(others)
    assert alone == len(about)


def test_nothing_is_trained_where_published_predictions_are_read(work, config):
    seeds = min(config.summary.seeds, len(config.prunecxr.training.seeds))
    published = config.prunecxr.model_copy(update={"published": {"nih": None}})
    job = work("summary_embed", cohort="nih", source="nih", system="prunecxr")
    assert UNITS["images x encoders"](job) == seeds * SIZES["nih"].images
    assert UNITS["images x encoders"](Work(job.job, config.model_copy(update={"prunecxr": published}))) == 0

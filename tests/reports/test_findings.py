import pandas as pd
import pytest
from tests.reports.conftest import Extractor


def statuses(findings: pd.DataFrame) -> dict[str, str]:
    return dict(zip(findings["finding"], findings["status"], strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Negation, and how far it reaches.
        ("No pleural effusion or pneumothorax.", {"effusion": "absent", "pneumothorax": "absent"}),
        ("There is no pneumothorax, effusion, or consolidation.",
         {"pneumothorax": "absent", "effusion": "absent", "consolidation": "absent"}),
        ("Lungs are clear of pneumothorax or effusion.", {"pneumothorax": "absent", "effusion": "absent"}),
        ("Negative for fracture.", {"fracture": "absent"}),
        ("Pneumothorax is not seen.", {"pneumothorax": "absent"}),
        ("The effusion has resolved.", {"effusion": "absent"}),
        ("Interval resolution of edema.", {"edema": "absent"}),
        ("The heart is not enlarged.", {"cardiomegaly": "absent"}),
        # What ends a negation.
        ("No effusion but there is a pneumothorax.", {"effusion": "absent", "pneumothorax": "present"}),
        ("No pneumothorax. Cardiomegaly.", {"pneumothorax": "absent", "cardiomegaly": "present"}),
        ("Cardiomegaly without edema.", {"cardiomegaly": "present", "edema": "absent"}),
        ("No consolidation; small effusion.", {"consolidation": "absent", "effusion": "present"}),
        # What looks like a negation and is none.
        ("No change in cardiomegaly.", {"cardiomegaly": "present"}),
        ("No significant interval change in the left effusion.", {"effusion": "present"}),
        ("Pneumonia is not excluded.", {"pneumonia": "uncertain"}),
        # Uncertainty.
        ("Possible pneumonia.", {"pneumonia": "uncertain"}),
        ("Cannot exclude pneumothorax.", {"pneumothorax": "uncertain"}),
        ("A small effusion cannot be excluded.", {"effusion": "uncertain"}),
        ("Opacity may represent atelectasis or pneumonia.",
         {"opacity": "present", "atelectasis": "uncertain", "pneumonia": "uncertain"}),
        ("Possible edema without effusion.", {"edema": "uncertain", "effusion": "absent"}),
        ("Opacity concerning for pneumonia.", {"opacity": "present", "pneumonia": "uncertain"}),
        # Links pass on what is said of themselves.
        ("No opacity to suggest pneumonia.", {"opacity": "absent", "pneumonia": "absent"}),
        ("Opacity consistent with pneumonia.", {"opacity": "present", "pneumonia": "present"}),
        # An anatomy and its state.
        ("The heart is mildly enlarged.", {"cardiomegaly": "present"}),
        ("Enlargement of the cardiac silhouette.", {"cardiomegaly": "present"}),
        ("Heart size is at the upper limits of normal.", {}),
        ("Degenerative changes are present in the spine.", {"degenerative_spine": "present"}),
        ("Low lung volumes.", {"hypoinflation": "present"}),
        ("Tortuous thoracic aorta with normal heart size.", {"tortuous_aorta": "present"}),
        # One word, two findings; one word in another, no finding.
        ("Left hydropneumothorax.", {"effusion": "present", "pneumothorax": "present"}),
        ("Subcutaneous emphysema of the neck.", {"subcutaneous_emphysema": "present"}),
        ("Pericardial effusion.", {"pericardial_effusion": "present"}),
        ("Multiple pulmonary masses and pneumothoraces.", {"mass": "present", "pneumothorax": "present"}),
    ],
)  # fmt: skip
def test_status(extract: Extractor, text: str, expected: dict[str, str]) -> None:
    assert statuses(extract(text)[0]) == expected


def test_a_blank_does_not_hide_the_end_of_a_sentence(extract: Extractor) -> None:
    findings = extract("No change from chest x-___. Effusion.")[0]
    assert list(findings["status"]) == ["present"]
    assert list(findings["sentence"]) == [1]


def test_likely_and_versus_are_what_the_settings_say(extract: Extractor) -> None:
    text = "Likely pneumonia. Atelectasis versus edema."
    both = {"pneumonia": "present", "atelectasis": "present", "edema": "present"}
    assert statuses(extract(text)[0]) == both
    strict = statuses(extract(text, probable="uncertain", differential="uncertain")[0])
    assert strict == dict.fromkeys(both, "uncertain")


def test_the_reach_of_a_negation_is_a_setting(extract: Extractor) -> None:
    text = "No mass in the right upper lobe or the left upper lobe or pneumothorax."
    assert statuses(extract(text)[0])["pneumothorax"] == "absent"
    assert statuses(extract(text, scope_words=3)[0])["pneumothorax"] == "present"

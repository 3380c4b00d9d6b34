"""What may be chosen about the reader survey: its files, and the wording of its questions."""

from pydantic import Field, model_validator

from cxrflow.settings import Settings

QUESTIONS = ("agree", "quality", "difficulty")
"""The three questions: agreement with the label (yes or no), image quality and difficulty (1 to 5)."""
RATINGS = QUESTIONS[1:]
"""Those that are answered by a number from 1 to 5."""


class SurveySettings(Settings):
    """Radiologists' answers about exemplars and other images, given in the VGG Image Annotator."""

    forms: list[str] = Field(default=[])
    """Exported csv files, one per form (reader); without any there is no survey yet."""
    key: str | None = None
    """Table with the columns filename and is_pie. Without it the first half of each form, sorted by file name, counts
    as exemplars, as in the published survey."""
    agree: str = "Do you fully agree with the label?"
    """The question answered by yes or no, as the forms name it."""
    quality: str = "How would you rate the image quality?"
    """The question about image quality, 1 to 5."""
    difficulty: str = "How difficult would you consider it to properly diagnose this image?"
    """The question about difficulty, 1 to 5."""

    readers: int = Field(default=6, gt=0)
    """Blank forms to make for a new survey, one per reader (the published one had six)."""
    images_per_arm: int = Field(default=20, gt=0)
    """Exemplars, and as many other images, on each blank form."""
    seed: int = Field(default=0, ge=0)
    """Seed of the images drawn for blank forms, and of their order."""

    @property
    def wording(self) -> dict[str, str]:
        """Return the wording of each question."""
        return {question: getattr(self, question) for question in QUESTIONS}

    @model_validator(mode="after")
    def _questions_differ(self) -> "SurveySettings":
        if len(set(self.wording.values())) < len(QUESTIONS):
            raise ValueError("two questions have the same wording")
        return self

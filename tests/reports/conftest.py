from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from cxrflow.reports.extract import extract_reports
from cxrflow.reports.settings import ExtractSettings

Extractor = Callable[..., tuple[pd.DataFrame, dict[str, Any]]]


@pytest.fixture(scope="session")
def extract() -> Extractor:
    """Return a function: text -> (findings table, graph)."""

    def run(text: str, **settings: Any) -> tuple[pd.DataFrame, dict[str, Any]]:
        reports = pd.DataFrame({"study_id": ["1"], "text": [text]})
        findings, graphs = extract_reports(reports, ExtractSettings(**settings))
        return findings, graphs[0]

    return run

from tests.workflow.conftest import fresh

__all__ = ["fresh"]

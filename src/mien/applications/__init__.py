"""Applications: small documented rules on the signals and events of a stream."""

from mien.applications.attention import AttentionApplication
from mien.applications.base import NoExpressions, open_stream
from mien.applications.driver import DriverApplication
from mien.applications.mood import MoodApplication, MoodItem
from mien.applications.observation import ObservationApplication
from mien.errors import SettingError
from mien.streaming import Application

__all__ = [
    "APPLICATIONS",
    "Application",
    "AttentionApplication",
    "DriverApplication",
    "MoodApplication",
    "MoodItem",
    "NoExpressions",
    "ObservationApplication",
    "build_application",
    "open_stream",
]

APPLICATIONS: dict[str, type[Application]] = {
    application.name: application
    for application in (
        DriverApplication,
        AttentionApplication,
        ObservationApplication,
        MoodApplication,
    )
}


def build_application(name: str) -> Application:
    """Build an application by name, with default settings.

    Raises:
        SettingError: no such application.
    """
    if name not in APPLICATIONS:
        raise SettingError(
            f"expected an application out of {', '.join(APPLICATIONS)}, got {name!r}"
        )
    return APPLICATIONS[name]()

"""Small documented sets of rules over a stream's signals and events, each with its limits."""

from mien.applications.attention import AttentionApplication
from mien.applications.base import Application, NoExpressions, open_stream
from mien.applications.driver import DriverApplication
from mien.applications.mood import MoodApplication, MoodItem
from mien.applications.observation import ObservationApplication
from mien.errors import SettingError

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
    """A application by its name, with its defaults.

    Raises:
        SettingError: there is no such application.
    """
    if name not in APPLICATIONS:
        raise SettingError(
            f"expected an application out of {', '.join(APPLICATIONS)}, got {name!r}"
        )
    return APPLICATIONS[name]()

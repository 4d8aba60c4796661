"""Small documented sets of rules over a stream's signals and events, each with its limits."""

from mien.errors import SettingError
from mien.presets.attention import AttentionPreset
from mien.presets.base import NoExpressions, Preset, open_stream
from mien.presets.driver import DriverPreset
from mien.presets.mood import MoodItem, MoodPreset
from mien.presets.observation import ObservationPreset

__all__ = [
    "PRESETS",
    "AttentionPreset",
    "DriverPreset",
    "MoodItem",
    "MoodPreset",
    "NoExpressions",
    "ObservationPreset",
    "Preset",
    "build_preset",
    "open_stream",
]

PRESETS: dict[str, type[Preset]] = {
    preset.name: preset for preset in (DriverPreset, AttentionPreset, ObservationPreset, MoodPreset)
}


def build_preset(name: str) -> Preset:
    """A preset by its name, with its defaults.

    Raises:
        SettingError: there is no such preset.
    """
    if name not in PRESETS:
        raise SettingError(f"expected an application out of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]()

"""List the minutes of a recording that are worth a look, for staff who then look at them.

    mien video night.mp4 --out results --fps 2
    python examples/observation_summary.py results/night

The list is no diagnosis, no measure of pain, and no alarm. It names the time in which no face could
be seen, because nothing is known of it.
"""

import sys
from pathlib import Path

import mien
from mien.applications import ObservationApplication
from mien.recording import Recording

LONGEST = 10
UNKNOWN = ("no_face", "not_visible", "not_recorded")


def summarize(folder: Path, *, interval_s: float = 3600.0) -> list[str]:
    """The lines of the summary: seconds by interval, then the longest episodes.

    Args:
        folder: of a recording, as `mien video` writes it.
        interval_s: length of an interval in seconds.
    """
    observation = ObservationApplication(interval_s=interval_s)
    episodes: list[mien.Event] = []
    for frame in Recording(folder).frames():
        events = [*frame.events, *frame.closing_events]
        observation.update(frame.result, events)
        episodes += [event for event in events if event.kind == "episode"]
    lines = []
    for interval in observation.summary()["intervals"]:
        seconds = interval["seconds"]
        unknown = sum(seconds.get(key, 0.0) for key in UNKNOWN)
        shown = [f"{key} {value:.0f} s" for key, value in seconds.items() if key not in UNKNOWN]
        lines.append(
            f"{clock(interval['start_s'])}  {', '.join([*shown, f'unknown {unknown:.0f} s'])}"
        )
    longest = sorted(episodes, key=lambda event: -event.details["duration_s"])[:LONGEST]
    for event in sorted(longest, key=lambda event: event.details["start_s"]):
        start_s, duration_s = event.details["start_s"], event.details["duration_s"]
        lines.append(f"{clock(start_s)}  {event.details['expression']} for {duration_s:.1f} s")
    return lines


def clock(seconds: float) -> str:
    """A time as hours, minutes and seconds."""
    minutes, second = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{second:02}"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: observation_summary.py RECORDING")
    try:
        print("\n".join(summarize(Path(sys.argv[1]))))
    except mien.MienError as error:
        sys.exit(f"{error}")

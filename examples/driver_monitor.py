"""Print an alarm when a driver's eyes are closed for too long.

    python examples/driver_monitor.py 0            (camera 0)
    python examples/driver_monitor.py drive.mp4

Eyes, mouth and head only: the expression model is not loaded. It is an aid and no certified safety
device: it fails with sunglasses and in the dark, and drowsy drivers often have open eyes.
"""

import sys
from collections.abc import Iterable, Iterator

from mien.applications import DriverApplication, open_stream
from mien.media import open_source
from mien.streaming import Step, run


def monitor(steps: Iterable[Step], application: DriverApplication) -> Iterator[str]:
    """One line for each alarm, and one when no face is visible any longer.

    Args:
        steps: the frames of a stream with their results and events.
        application: has the limits of the alarms.
    """
    visible = True
    for step in steps:
        for alarm in application.update(step.result, step.events):
            reason, value = alarm.details["reason"], alarm.details["value"]
            yield f"{alarm.timestamp_s:6.1f} s  {reason} {value:.2f}"
        if visible and not step.result.faces:
            yield f"{step.frame.timestamp_s:6.1f} s  no face: the eyes cannot be measured"
        visible = bool(step.result.faces)


def main(source: str) -> None:
    application = DriverApplication(max_closure_s=1.0)
    opened = open_source(int(source) if source.isdecimal() else source)
    for line in monitor(run(opened, open_stream(application)), application):
        print(line, flush=True)
    print(application.summary())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: driver_monitor.py VIDEO | CAMERA-INDEX")
    main(sys.argv[1])

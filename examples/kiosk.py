"""A kiosk that shows visitors their apparent expression, once they agree.

    python examples/kiosk.py      and open http://127.0.0.1:5000 on the screen with the camera

The camera starts with the visitor's button. A visit ends with the second button, after a minute, or
when the visitor has left, so that the next one is asked again. Frames stay in memory until the next
one; nothing is stored or counted.
"""

import secrets
import threading
import time

import numpy as np
import numpy.typing as npt
from flask import Flask, request

import mien

LONGEST_S = 60.0
PAGE = """<!doctype html><html lang="en"><meta name="viewport" content="width=device-width">
<title>Kiosk</title><style>
body { font: 2rem sans-serif; text-align: center }
button { font: inherit; padding: 1rem 2rem }
video { max-width: 90vw; transform: scaleX(-1) }
</style>
<p id="text">The camera looks at your face while you stand here. Nothing is stored.</p>
<p><video id="video" width="640" autoplay muted playsinline hidden></video></p>
<p><button id="start">I agree: start the camera</button>
<button id="stop" hidden>Stop</button></p>
<script>
const [text, video, start, stop] = ["text", "video", "start", "stop"]
  .map((id) => document.getElementById(id));
const asked = text.textContent;
const show = (on) => { start.hidden = on; stop.hidden = video.hidden = !on; };
const jpeg = (canvas) => new Promise((done) => canvas.toBlob(done, "image/jpeg"));
let visiting = false;
stop.onclick = () => { visiting = false; };
start.onclick = async () => {
  let visit = "", end = asked;
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: 640 } });
    await video.play();
    visit = await (await fetch("/visits", { method: "POST" })).text();
    show(visiting = true);
    const canvas = document.createElement("canvas");
    while (visiting) {
      [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      canvas.getContext("2d").drawImage(video, 0, 0);
      const body = await jpeg(canvas);
      const answer = await fetch(`/visits/${visit}`, { method: "POST", body });
      if (!answer.ok) break;
      text.textContent = await answer.text();
    }
  } catch (error) { end = `The camera cannot be used: ${error.message}`; }
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  show(visiting = false);
  text.textContent = end;
  if (visit) await fetch(`/visits/${visit}`, { method: "DELETE" });
};
</script></html>"""


class Visit:
    """One visitor, from the button to the end: the largest face at the start, and no other.

    Args:
        pipeline: shared by all visits.
    """

    def __init__(self, pipeline: mien.FacePipeline) -> None:
        self.started_s = time.monotonic()
        self._stream = mien.FaceStream(pipeline)
        self._track_id: int | None = None

    def look(self, image: npt.NDArray[np.uint8]) -> str | None:
        """What to show for a frame, ``(H, W, 3)`` RGB; None when the visit is over."""
        elapsed_s = time.monotonic() - self.started_s
        faces = self._stream.update(image, elapsed_s).faces
        ended = {event.track_id for event in self._stream.events if event.kind == "track_ended"}
        if elapsed_s > LONGEST_S or self._track_id in ended:
            return None
        if self._track_id is None and faces:
            self._track_id = max(faces, key=lambda face: face.box.area).track_id
        face = next((face for face in faces if face.track_id == self._track_id), None)
        if face is None:
            return "Look at the camera."
        if face.expression is None or face.expression.uncertain or face.quality.reasons:
            return "I cannot read your face well."
        return f"Your face shows: {face.expression.label}"


def create_app(pipeline: mien.FacePipeline | None = None) -> Flask:
    """The web application; with a pipeline of your own, for example a fake one in tests."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 5_000_000
    analyzer = pipeline or mien.FacePipeline(model="quick")
    visits: dict[str, Visit] = {}  # one at most: there is one screen
    using = threading.Lock()

    @app.get("/")
    def page() -> str:
        return PAGE

    @app.post("/visits")
    def agree() -> str:
        with using:
            visits.clear()
            visits[name := secrets.token_urlsafe()] = Visit(analyzer)
        return name

    @app.post("/visits/<name>")
    def look(name: str) -> tuple[str, int]:
        with using:
            if name not in visits:
                return "No visit: press the button first.", 404
            try:
                text = visits[name].look(mien.read_image(request.get_data()))
            except mien.MienError as error:
                return str(error), 400
            if text is None:
                del visits[name]
                return "The visit is over.", 410
        return text, 200

    @app.delete("/visits/<name>")
    def leave(name: str) -> tuple[str, int]:
        with using:
            visits.pop(name, None)
        return "", 204

    return app


if __name__ == "__main__":
    create_app().run()

"""A catalog that is sorted by the mood that a face apparently shows, if the visitor agrees.

    python examples/recommendations.py      and open http://127.0.0.1:5000

Without consent no picture is sent, and none is read. With consent the picture stays in memory, and
the page says what was seen and how to undo it. The valence and arousal of the titles are guesses
for this example. Previous choices of a visitor predict better than a face.
"""

from typing import Any

from flask import Flask, render_template_string, request

import mien
from mien.applications import MoodApplication, MoodItem

CATALOG = [
    MoodItem("A slow documentary about moss", valence=0.2, arousal=-0.6),
    MoodItem("Courtroom drama", valence=-0.2, arousal=0.2),
    MoodItem("Solo cello, late evening", valence=-0.3, arousal=-0.4),
    MoodItem("Heist comedy", valence=0.7, arousal=0.6),
]
PAGE = """<!doctype html><html lang="en"><title>Catalog</title>
<h1>Catalog</h1><p>{{ note }} <a href="/">Usual order</a></p>
<ol>{% for item in items %}<li>{{ item.title }}</li>{% endfor %}</ol>
<form method="post" enctype="multipart/form-data">
<p><label><input type="checkbox" name="consent" value="yes" required>
Look at my picture and sort the catalog by my apparent expression. It is not stored.</label></p>
<p><input type="file" name="picture" accept="image/*" capture="user" required>
<button>Sort</button></p></form></html>"""


def create_app(pipeline: mien.FacePipeline | None = None) -> Flask:
    """The web application; with a pipeline of your own, for example a fake one in tests."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 20_000_000
    analyzer = pipeline or mien.FacePipeline()

    @app.get("/")
    def catalog() -> str:
        return render_template_string(PAGE, items=CATALOG, note="")

    @app.post("/")
    def sorted_catalog() -> Any:
        if request.form.get("consent") != "yes" or "picture" not in request.files:
            return catalog()
        try:
            image = mien.read_image(request.files["picture"].read())
        except mien.MienError as error:
            return render_template_string(PAGE, items=CATALOG, note=str(error)), 400
        face = largest_clear_face(analyzer.analyze(image))
        if face is None or face.affect is None:
            return render_template_string(PAGE, items=CATALOG, note="No face is clear enough.")
        mood = MoodApplication()
        mood.valence, mood.arousal = face.affect.valence, face.affect.arousal
        note = f"You apparently show {face.expression.label}."
        return render_template_string(PAGE, items=mood.rank(CATALOG), note=note)

    return app


def largest_clear_face(result: mien.FrameResult) -> mien.Face | None:
    """The largest face whose expression can be relied on."""
    clear = [
        face
        for face in result
        if face.expression and not face.expression.uncertain and not face.quality.reasons
    ]
    return max(clear, key=lambda face: face.box.width * face.box.height, default=None)


if __name__ == "__main__":
    create_app().run()

"""A page for photographs from a file or the camera, with Gradio.

    pip install gradio
    python examples/gradio_app.py      and open http://127.0.0.1:7860

Gradio writes uploads to a temporary folder; here it deletes them after a few minutes.
"""

from typing import Any

import gradio

import mien

pipeline = mien.FacePipeline()


def look(image: Any) -> tuple[Any, Any]:
    """The picture with its faces drawn, and a table with a row for each face."""
    if image is None:
        raise gradio.Error("Choose a photograph first.")
    result = pipeline.analyze(image)
    table = result.to_dataframe()[["expression", "uncertain", "p_happiness", "reasons"]]
    return mien.annotate(image, result), table


page = gradio.Interface(
    look,
    gradio.Image(label="A photograph of people who agreed"),
    [gradio.Image(label="Faces"), gradio.Dataframe(label="From left to right")],
    title="Apparent expressions",
    flagging_mode="never",  # no button that stores pictures
    analytics_enabled=False,
    delete_cache=(60, 60),
)

if __name__ == "__main__":
    page.launch()

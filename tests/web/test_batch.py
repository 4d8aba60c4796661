"""Many photographs in one request."""

import io
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from mien.web.schemas import BatchDocument

URL = "/api/v1/batch"


def archive(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as target:
        for name, data in files.items():
            target.writestr(name, data)
    return buffer.getvalue()


def outcomes(answer: Any) -> list[tuple[str, int | str]]:
    """The name of each entry with its number of faces, or the code of its error."""
    assert answer.status_code == 200, answer.text
    BatchDocument.model_validate(answer.json)
    return [
        (
            entry["name"],
            len(entry["result"]["faces"]) if entry["result"] else entry["error"]["code"],
        )
        for entry in answer.json["results"]
    ]


def test_fields_are_answered_in_order(client: FlaskClient, photo: bytes, smile: bytes) -> None:
    images = [(io.BytesIO(smile), "b.jpg"), (io.BytesIO(b"no image"), "x.jpg"),
              (io.BytesIO(photo), "a.jpg"), (io.BytesIO(b""), "empty.jpg")]  # fmt: skip
    assert outcomes(client.post(URL, data={"image": images})) == [
        ("b.jpg", 1), ("x.jpg", "image_unreadable"),
        ("a.jpg", 4), ("empty.jpg", "image_unreadable"),
    ]  # fmt: skip


@pytest.mark.parametrize("as_field", [True, False])
def test_archive(client: FlaskClient, photo: bytes, smile: bytes, as_field: bool) -> None:
    data = archive({"day/1.jpg": smile, "__MACOSX/day/._1.jpg": b"x", "day/.DS_Store": b"x",
                    "day/": b"", "../../2.jpg": photo, "notes.txt": b"hello"})  # fmt: skip
    answer = (
        client.post(URL, data={"archive": (io.BytesIO(data), "day.zip")})
        if as_field
        else client.post(URL, data=data, content_type="application/zip")
    )
    assert outcomes(answer) == [
        ("day/1.jpg", 1), ("../../2.jpg", 4), ("notes.txt", "image_unreadable"),
    ]  # fmt: skip


def test_options_hold_for_each_image(client: FlaskClient, smile: bytes) -> None:
    answer = client.post(URL + "?landmarks=true", data={"image": [(io.BytesIO(smile), "s.jpg")]})
    assert answer.json is not None
    (face,) = answer.json["results"][0]["result"]["faces"]
    assert len(face["landmarks"]["points"]) == 468


def test_size_an_archive_claims_is_not_believed(
    make_app: Callable[..., Flask], smile: bytes
) -> None:
    client = make_app(max_image_mb=1).test_client()
    bomb = archive({"bomb.png": bytes(30_000_000), "smile.jpg": smile})
    lies = bomb.replace((30_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert len(bomb) < 100_000
    answer = client.post(URL, data=bomb, content_type="application/zip")
    assert outcomes(answer) == [("bomb.png", "too_large"), ("smile.jpg", 1)]
    answer = client.post(URL, data=lies, content_type="application/zip")
    assert dict(outcomes(answer))["smile.jpg"] == 1


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_damaged_entry_does_not_stop_the_others(
    client: FlaskClient, smile: bytes, method: int
) -> None:
    data = bytearray(archive({"bad.jpg": smile, "smile.jpg": smile}, method))
    data[50:90] = bytes(range(200, 240))
    answer = client.post(URL, data=bytes(data), content_type="application/zip")
    assert outcomes(answer) == [("bad.jpg", "archive_unreadable"), ("smile.jpg", 1)]


@pytest.mark.parametrize(
    ("request_body", "status", "code"),
    [
        ({"data": b"PK no archive", "content_type": "application/zip"}, 400, "archive_unreadable"),
        ({"data": b""}, 400, "image_missing"),
        ({"data": {"photo": (io.BytesIO(b"x"), "x.jpg")}}, 400, "image_missing"),
        (
            {"data": archive({f"{n}.jpg": b"" for n in range(101)}),
             "content_type": "application/zip"}, 413, "too_large",
        ),
        # A directory of empty entries, which is refused before it is read.
        ({"data": b"PK\1\2" * 5000, "content_type": "application/zip"}, 413, "too_large"),
        ({"data": b"", "query_string": {"landmarks": "perhaps"}}, 422, "invalid"),
    ],
)  # fmt: skip
def test_rejects_wrong_requests(
    client: FlaskClient, request_body: dict[str, Any], status: int, code: str
) -> None:
    answer = client.post(URL, **request_body)
    assert answer.status_code == status
    assert answer.json is not None
    assert answer.json["error"]["code"] == code


# Werkzeug leaves the parts of a form that it refuses to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_rejects_too_many_fields(client: FlaskClient) -> None:
    for count in (101, 102, 500):
        images = [(io.BytesIO(b""), f"{n}.jpg") for n in range(count)]
        answer = client.post(URL, data={"image": images})
        assert (answer.status_code, answer.json is not None) == (413, True)
        message = (answer.json or {})["error"]["message"]
        assert message.startswith("Expected at most 100 images in one request, got ")
        assert message.endswith("send them in several requests.")


@pytest.mark.parametrize("files", [{}, {"day/": b"", "day/.DS_Store": b"x"}])
def test_an_archive_without_images_is_an_error(
    client: FlaskClient, files: dict[str, bytes]
) -> None:
    answer = client.post(URL, data=archive(files), content_type="application/zip")
    assert answer.status_code == 400
    assert (answer.json or {})["error"]["code"] == "image_missing"
    assert "Expected a ZIP archive with at least one image" in answer.text

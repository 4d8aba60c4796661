"""What is wrong: codes for programs, and words for people.

Without Flask, which servers import after their processes begin.
"""

CODES = {
    400: "bad_request",
    401: "token_needed",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    411: "length_needed",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    422: "invalid",
    429: "too_many_requests",
    431: "headers_too_large",
    500: "internal",
    503: "unavailable",
}
# What is wrong in the words of the pages, by the code of an error. Messages are for programs, and
# name what came; the catalogs have only those that many visitors see.
WORDS = {
    **dict.fromkeys(
        ("bad_request", "error", "invalid", "message_unreadable", "message_unknown"),
        "The request is not valid. Check what you entered.",
    ),
    **dict.fromkeys(("conflict", "not_recording"), "This is not possible now. Reload the page."),
    **dict.fromkeys(
        ("busy", "full", "unavailable", "not_ready"),
        "The server is busy. Try again in a moment.",
    ),
    **dict.fromkeys(
        ("forbidden", "foreign_origin", "host_not_allowed", "not_public"),
        "This is not allowed here. Ask the administrator.",
    ),
    **dict.fromkeys(
        ("too_large", "length_needed"),
        "This is too large. Make it smaller, or send less at once.",
    ),
    **dict.fromkeys(
        ("changed", "not_found", "range_not_satisfiable"), "This was not found, or was deleted."
    ),
    **dict.fromkeys(
        ("image_unreadable", "input_unreadable", "unsupported_media_type"),
        "This file cannot be read as a picture. Choose a JPEG or PNG file.",
    ),
    **dict.fromkeys(
        ("enough_links", "enough_markers"), "There are too many of these. Delete some first."
    ),
    "archive_unreadable": "This ZIP archive is damaged, encrypted or empty.",
    "camera_unavailable": "The camera does not respond. The server tries again.",
    "cookie_needed": "Allow cookies for this page: without them, what it stores cannot be found "
    "again.",
    "enough_jobs": "Too many videos at once. Wait until one is done, or cancel one.",
    "form_expired": "This form has expired. Reload the page and try again.",
    "image_missing": "Choose a photo first.",
    "internal": "An internal error occurred. It was logged; try again, or ask the administrator.",
    "method_not_allowed": "This address does not support this request method.",
    "no_face": "No face was found in this picture. Choose a larger or clearer one.",
    "no_links": "This server makes no links for others.",
    "session_deleted": "The session was deleted, so its recording has ended.",
    "several_faces": "There is more than one face in this picture.",
    "storage_full": "The server has no more space. Delete results, or ask the administrator.",
    "storage_unavailable": "Nothing can be stored now. Live analysis and photos still work.",
    "token_needed": "This server requires an access token. Ask the administrator for it.",
    "timeout": "The upload stopped before its end. Check the connection, and send it again.",
    "too_few_labels": "More labeled faces are needed to adapt a model.",
    "too_many_requests": "Too many requests. Try again in a moment.",
    "uri_too_long": "The address of the request is too long.",
    "headers_too_large": "The request has too many or too large headers. Delete the cookies of "
    "this site.",
    "video_missing": "Choose a video first.",
}

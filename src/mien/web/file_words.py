"""What the library says of a file, and the server of a limit, in the words of the pages.

Its messages are for logs and programs, with paths and details; each that visitors of the pages
often see has here a sentence with the same facts, which the catalogs translate.
"""

import re

# What the whole message matches, and its sentence; values have the same names in both.
_SENTENCES = (
    # Of videos that were analyzed.
    (r"the file is cut: %(read)s s of the %(length)s s.*",
     "The file is cut off: %(read)s of %(length)s seconds could be read."),
    (r"the file is cut: it has no end after %(read)s s",
     "The file is cut off after %(read)s seconds."),
    (r"the file is damaged, and frames may be missing: .*",
     "The file is damaged. Frames may be missing."),
    (r"packets that could not be decoded and were skipped: %(count)s",
     "Damaged parts of the file that were skipped: %(count)s."),
    (r"damaged frames, parts of which may be wrong: %(count)s",
     "Damaged frames, whose results may be wrong: %(count)s."),
    (r"interlaced frames, of which one field was used: %(count)s",
     "Interlaced frames, of which every second line was used: %(count)s."),
    (r"the first of %(count)s videos in the file was read",
     "The file has %(count)s videos. The first one was analyzed."),
    (r"timestamps that jump or start over, .*: %(count)s",
     "Places where the times in the file jump, and were continued: %(count)s."),
    (r"timestamps that are missing, .*: %(count)s",
     "Frames without a valid time, which was estimated: %(count)s."),
    (r"frames have several sizes: .*",
     "The size of the frames changes during the video."),
    (r"expected upright faces, .*",
     "Faces in this video lie on their side or are upside down: results may be wrong. Turn it."),
    (r"(?:a still image, read as a video .*|expected a video in .*: it is an image \(.*\))",
     "This file is a picture. Analyze it on the photo page."),
    # Of videos that were not.
    (r"expected a video in .*: it is an MP4 or MOV file without its index.*",
     "This video was cut off, or its recording did not end: it has no index. Copy it again."),
    (r"expected a video in .*, but it has no video stream",
     "This file has no video, only sound or other data."),
    (r"expected a video in .*, (?:got a format that cannot be decoded.*|but no frame can be .*)",
     "This video cannot be decoded. Convert it to MP4."),
    (r"expected a video (?:file )?(?:in|at) .*",
     "This file cannot be read as a video. Choose another one, such as an MP4 file."),
    (r"expected a video of at most %(most)s seconds, .*",
     "This video is too long: the limit is %(most)s seconds. Cut it."),
    (r"expected a video of at most %(most)s frames, .*",
     "This video has too many frames: the limit is %(most)s. Cut it, or lower its frame rate."),
    (r"expected frames of at most .*, got %(size)s",
     "The frames of this video are too large: %(size)s pixels. Make them smaller."),
    (r"the analysis was interrupted .*",
     "The analysis was interrupted several times. Submit the video again."),
    (r"an internal error occurred\. it was logged\.",
     "An internal error occurred. It was logged."),
    (r"the disk of the server is full\. .*",
     "The disk of the server is full. Try again later."),
    # Of limits.
    (r"expected at most .*\. try again in %(wait)s s\.", "Try again in %(wait)s seconds."),
    (r"expected at most %(most)s images in one request, .*",
     "Too many pictures at once: the limit is %(most)s. Send them in several steps."),
    (r"expected at most %(most)s MB(?:, and .*)?\.",
     "This is too large: the limit is %(most)s MB."),
    # Of pictures.
    (r"the file is truncated or damaged: about %(share)s% of the picture was read.*",
     "The file is damaged: %(share)s percent of the picture could be read. Faces may be missing."),
    (r"the file is truncated or damaged: all rows were read.*",
     "The file is damaged: the picture has less detail than it should."),
    (r"the file is damaged: parts of the picture may be wrong",
     "The file is damaged. Parts of the picture may be wrong."),
    (r"the first of %(count)s pages was read",
     "The file has %(count)s pages. The first one was analyzed."),
    (r"the first of %(count)s frames was read",
     "The file has %(count)s frames. The first one was analyzed; the video page takes all."),
    (r"a camera raw file .*preview of %(size)s pixels was read",
     "This is a camera raw file. Its preview of %(size)s pixels was analyzed."),
    (r"%(share)s% of the picture is transparent, and was read as white",
     "%(share)s percent of the picture is transparent, and was taken as white."),
    (r"more than 1,000 places look like faces, .*",
     "Too many places look like faces. Some may be missing: divide the picture."),
    (r"(?:.*: )?expected an image of at most %(most)s megapixels, got %(size)s.*",
     "The picture is too large: %(size)s pixels, of at most %(most)s megapixels. Make it smaller."),
    (r"(?:.*: )?expected (?:an image \(.*\)|a video), got an empty file\.?",
     "This file is empty. Choose another one."),
    (r"(?:.*: )?expected an image of at most %(most)s MiB, got .*",
     "The file is too large: at most %(most)s MB. Make the picture smaller."),
    (r"(?:.*: )?expected an image \(.*\), got a video \(.*",
     "This file is a video. Analyze it on the video page."),
    (r"(?:.*: )?expected an image \(.*\), got .*",
     "This file is no picture. Choose a JPEG or PNG file."),
    (r"(?:.*: )?the image is (?:damaged|truncated).*",
     "This picture is damaged and cannot be read. Save or copy it again."),
)  # fmt: skip
_PATTERNS = tuple(
    (re.compile(re.sub(r"%\((\w+)\)s", r"(?P<\1>\\d[\\d.x×]*)", pattern), re.S | re.I), text)
    for pattern, text in _SENTENCES
)
SENTENCES = tuple(dict.fromkeys(text for _, text in _SENTENCES))


def sentence_of(message: str) -> tuple[str, dict[str, str]] | None:
    """The sentence for a message of the library, and its values; None for an unknown message."""
    for pattern, text in _PATTERNS:
        if found := pattern.fullmatch(message):
            return text, found.groupdict()
    return None

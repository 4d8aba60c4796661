"""Text and identifiers use plain technical English with American spelling.

docs/glossary.md has the terms of this project.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SUFFIXES = {".py", ".md", ".html", ".css", ".js", ".ts", ".toml", ".yaml"}
FOLDERS = (
    "benchmarks",
    "client/src",
    "client/tests",
    "docs",
    "examples",
    "src",
    "tests",
    "tools",
    "ARCHITECTURE.md",
    "CONTRIBUTING.md",
    "MODELS.md",
    "README.md",
)
REPLACEMENTS = {
    # British spelling
    r"analys(?:e|ed|ing)": "analyze",
    r"behaviour\w*": "behavior",
    r"catalogue\w*": "catalog",
    r"cent(?:re[sd]?|ring)": "center",
    r"colour\w*": "color",
    r"favour\w*": "favor",
    r"grey\w*": "gray",
    r"labell(?:ed|ing)": "labeled, labeling",
    r"licence\w*": "license",
    r"neighbour\w*": "neighbor",
    r"(?:normal|optim|organ|recogn|serial)is(?:e[sd]?|ing)": "-ize",
    # Words that have a usual technical equivalent
    r"anew": "again, restart",
    r"bear(?:s|ing)? with": "tolerate",
    r"doubt\w*": "uncertainty, low confidence",
    r"for ever": "indefinitely",
    r"(?:is|are|was|were|be|goes|went|gone) away": "unavailable, disconnected",
    r"in the place of": "instead of",
    r"mend(?:s|ed|ing)?": "fix",
    r"nobody": "no one, no user",
    r"lest": "so that ... not",
    r"shall": "must, should",
    r"so many|so-manieth": "a number, every Nth",
    r"taught|untaught": "trained",
    r"thereby": "so",
    r"told": "reported, logged",
    r"towards": "toward",
    r"(?<!person )wants(?!_html)": "requires",
    r"whilst": "while",
    r"whoever": "the user",
}
# One expression for all: each line of the project is searched once.
WORDS = re.compile(rf"(?<![a-z])(?:{'|'.join(REPLACEMENTS)})(?![a-z])", re.IGNORECASE)


def better(word: str) -> str:
    """What to write instead of a word that was found."""
    return next(
        usual
        for pattern, usual in REPLACEMENTS.items()
        if re.match(rf"(?:{pattern})(?![a-z])", word, re.IGNORECASE)
    )


def texts(folder: str) -> list[Path]:
    """The text files of a folder, without build output."""
    path = ROOT / folder
    files = path.rglob("*") if path.is_dir() else [path]
    skipped = {"dist", "__pycache__", Path(__file__).name}
    return [f for f in files if f.suffix in SUFFIXES and not skipped & {*f.parts}]


@pytest.mark.parametrize("folder", FOLDERS)
def test_uses_plain_words(folder: str) -> None:
    files = texts(folder)
    assert files
    found = [
        f"{file.relative_to(ROOT)}:{number}: {match[0]!r}, use: {better(match[0])}"
        for file in files
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1)
        for match in WORDS.finditer(line)
        if "# old spelling" not in line
    ]
    assert found == []


@pytest.mark.parametrize("text", ["the server is away", "def _told(self)", "Analysed", "so many"])
def test_finds_words_in_text_and_identifiers(text: str) -> None:
    match = WORDS.search(text)
    assert match
    assert better(match[0])


@pytest.mark.parametrize("text", ["analyses", "recommended", "the file is a way", "marshall"])
def test_ignores_parts_of_words(text: str) -> None:
    assert not WORDS.search(text)

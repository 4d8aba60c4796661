"""Write the message catalogs of the web pages: new messages in, unused ones out.

    python tools/write_catalogs.py

Reads the templates, the Python files of the web application and the TypeScript of the pages. A
message without a translation is written with an empty one, which fails the tests.
"""

import io
import re
from functools import cache
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

from mien.web.words import CATALOGS, LANGUAGES, WORDS

ROOT = Path(__file__).resolve().parent.parent
_HEADER = r"""# Translations of the web pages: see CONTRIBUTING.md.
msgid ""
msgstr ""
"Language: {code}\n"
"Content-Type: text/plain; charset=utf-8\n"
"Plural-Forms: {plural}\n"

"""
_TEXT = r'"((?:[^"\\\n]|\\.)+)"'
_SCRIPT = re.compile(rf"\btn?\(\s*{_TEXT}(?:,\s*{_TEXT},)?")

Message = str | tuple[str, str]


@cache
def messages() -> list[tuple[Message, str]]:
    """All messages of the pages, each with the file that has it."""
    all_found: list[tuple[Message, str]] = []
    web = ROOT / "src/mien/web"
    for pattern, method in (("templates/*.html", "jinja2.ext:babel_extract"), ("*.py", "python")):
        for path in sorted(web.glob(pattern)):
            with path.open("rb") as file:
                for _line, found, _comments, _context in extract(method, file):
                    all_found.append((found, path.relative_to(ROOT).as_posix()))
    for path in sorted((ROOT / "client/src").glob("*.ts")):
        for one, many in _SCRIPT.findall(path.read_text(encoding="utf-8")):
            found = (one, many) if many else one
            all_found.append((found, path.relative_to(ROOT).as_posix()))
    for text in WORDS:
        all_found.append((text, "src/mien/web/words.py"))
    return all_found


def catalog_text(code: str) -> str:
    """The catalog of a language as it should be: the messages of today, translated as so far."""
    path = CATALOGS / f"{code}.po"
    before = read_po(io.BytesIO(path.read_bytes() if path.is_file() else b""), locale=code)
    after = Catalog(locale=code)
    for found, file in messages():
        old = before.get(found[0] if isinstance(found, tuple) else found)
        kept = old is not None and isinstance(old.id, tuple) == isinstance(found, tuple)
        after.add(found, old.string if old and kept else None, locations=[(file, None)])
    written = io.BytesIO()
    write_po(written, after, omit_header=True, sort_output=True, include_lineno=False, width=0)
    body = written.getvalue().decode("utf-8").strip() + "\n"
    return _HEADER.format(code=code, plural=after.plural_forms) + body


def main() -> None:
    CATALOGS.mkdir(exist_ok=True)
    for code in LANGUAGES:
        if code != "en":
            text = catalog_text(code)
            (CATALOGS / f"{code}.po").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

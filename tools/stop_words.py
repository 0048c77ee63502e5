# SPDX-License-Identifier: Apache-2.0
"""Writes Lucene's own stop words, which the engine's analyzers come with, where the query compiler reads them.

`python -m tools.stop_words FILE`, FILE being lucene-analysis-common-*.jar out of the engine's `lib` folder.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

TARGET = Path(__file__).resolve().parent.parent / "services" / "pinakes" / "core" / "query" / "stop_words.txt"
_FOLDER = "org/apache/lucene/analysis"
_SNOWBALL = {
    "da": "danish", "de": "german", "en": "english", "es": "spanish", "fi": "finnish", "fr": "french", "ga": "irish",
    "hu": "hungarian", "id": "indonesian", "it": "italian", "nl": "dutch", "no": "norwegian", "pt": "portuguese",
    "ru": "russian", "sv": "swedish",
}  # fmt: skip
_OWN = {"cs": "cz"} | {
    code: code
    for code in ("ar", "bg", "bn", "ca", "el", "et", "eu", "fa", "gl", "hi", "hy", "lt", "lv", "ro", "th", "tr")
}
_HEADER = """\
# Stop words by language, out of Apache Lucene {version}. Written by `python -m tools.stop_words`; don't edit.
# Lists of the Snowball project (da de en es fi fr ga hu id it nl no pt ru sv): BSD licence, (c) 2001 Dr Martin Porter,
# (c) 2002 Richard Boulton, https://snowballstem.org/license.html. Lists of Jacques Savoy (ar bg bn cs fa hi ro): BSD
# licence. The others: Apache License 2.0.
"""


def main() -> None:
    """Write the file: a line a language, its code and its words."""
    if len(sys.argv) != 2:
        sys.exit((__doc__ or "").strip())
    jar = Path(sys.argv[1])
    version = jar.stem.removeprefix("lucene-analysis-common-")
    lines = []
    with zipfile.ZipFile(jar) as archive:
        names = {code: f"{_FOLDER}/snowball/{name}_stop.txt" for code, name in _SNOWBALL.items()}
        names |= {code: f"{_FOLDER}/{folder}/stopwords.txt" for code, folder in _OWN.items()}
        for code, name in sorted(names.items()):
            words = stop_words(archive.read(name).decode("utf-8"))
            lines.append(f"{code} {' '.join(words)}\n")
    TARGET.write_text(_HEADER.format(version=version) + "".join(lines), encoding="utf-8")


def stop_words(text: str) -> list[str]:
    """Return the words of one of Lucene's lists: what follows `|` or begins with `#` is a comment."""
    plain = (line.partition("|")[0] for line in text.splitlines() if not line.startswith("#"))
    return sorted({word for line in plain for word in line.split()})


if __name__ == "__main__":
    main()

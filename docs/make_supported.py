<<<<<<< HEAD
"""Writes the tables of docs/supported.md from tests/support/supported.py and supported_codecs.py; the text around them is the page's own.
=======
"""Writes the tables of docs/supported.md from tests/supported.py and tests/supported_codecs.py. The page keeps its other text.
>>>>>>> room/docs

Needs nothing but Python. With `--check`, it writes nothing and fails if the page is out of date.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "supported.md"
sys.path.insert(0, str(ROOT / "tests"))

from support import supported, supported_codecs  # noqa: E402

_TABLE = re.compile(r"(<!-- table: (.+?) -->\n).*?(<!-- end of table -->\n)", re.DOTALL)


def table(*rows: tuple[str, ...]) -> str:
    """A Markdown table; the first row is the header."""
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ("---",) * len(head), *body))


def remarks(row: supported.Row) -> str:
    """A row's remark; for a fallback, followed by the reason that the error states."""
    if row.where != supported.FALLBACK:
        return row.remark
    reason = f"“{row.reason}”"
    return f"{row.remark}; {reason}" if row.remark else reason


def tables() -> dict[str, str]:
    """The tables of the page, by name."""
    return {
        "selections": table(
            ("zarr-python", "example"),
            *(
                (row.what, ", ".join(f"`{example}`" for example in row.examples))
                for row in supported.SELECTIONS
            ),
        ),
        "data types": table(
            ("kind", "NumPy", "runs", "remarks"),
            *((row.what, row.kind, row.where, remarks(row)) for row in supported.DATA_TYPES),
        ),
        "codecs of Zarr 3": table(
            ("codec", "kind", "runs", "remarks"),
            *((row.what, row.kind, row.where, remarks(row)) for row in supported_codecs.CODECS_3),
        ),
        "codecs of Zarr 2": table(
            ("codec", "as", "runs", "remarks"),
            *((row.what, row.kind, row.where, remarks(row)) for row in supported_codecs.CODECS_2),
        ),
        "stores": table(
            ("store", "way", "remarks"),
            *((row.what, row.way, row.remark) for row in supported.STORES),
        ),
        "calls": table(
            ("call", "reason"),
            *((row.what, f"“{row.reason}”") for row in supported.CALLS),
        ),
    }


def filled(page: str) -> str:
    """`page` with updated tables."""
    made = tables()
    names = [match[2] for match in _TABLE.finditer(page)]
    if sorted(names) != sorted(made):
        raise SystemExit(f"{PAGE} has the tables {names}, tests has {list(made)}")
    return _TABLE.sub(lambda match: f"{match[1]}\n{made[match[2]]}\n\n{match[3]}", page)


def main() -> None:
    """Writes the page, or checks it."""
    page = PAGE.read_text(encoding="utf-8")
    wanted = filled(page)
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(wanted, encoding="utf-8", newline="\n")
    elif page != wanted:
        raise SystemExit(f"{PAGE} is not up to date: run `make supported`")


if __name__ == "__main__":
    main()

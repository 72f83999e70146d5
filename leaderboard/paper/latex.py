"""Any text and a board's numbers as LaTeX that compiles everywhere and obeys nobody but us."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from itertools import pairwise

from leaderboard.paper.tables import Entry, Grid
from leaderboard.wording import VERDICTS, minus_zero

SPECIAL: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "{": r"\textbraceleft{}",  # BibTeX counts braces, escaped ones too
    "}": r"\textbraceright{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",  # an active character in some languages
    **{sign: f"\\{sign}" for sign in "$&%#_"},
}
ACCENTS: Mapping[str, str] = {
    "\N{COMBINING GRAVE ACCENT}": "`",
    "\N{COMBINING ACUTE ACCENT}": "'",
    "\N{COMBINING CIRCUMFLEX ACCENT}": "^",
    "\N{COMBINING TILDE}": "~",
    "\N{COMBINING DIAERESIS}": '"',
    "\N{COMBINING MACRON}": "=",
    "\N{COMBINING DOT ABOVE}": ".",
    "\N{COMBINING BREVE}": "u",
    "\N{COMBINING CARON}": "v",
    "\N{COMBINING DOUBLE ACUTE ACCENT}": "H",
    "\N{COMBINING CEDILLA}": "c",
    "\N{COMBINING OGONEK}": "k",
    "\N{COMBINING DOT BELOW}": "d",
    "\N{COMBINING RING ABOVE}": "r",
}
SIGNS: Mapping[str, str] = {
    "ß": r"{\ss}", "ø": r"{\o}", "Ø": r"{\O}", "ł": r"{\l}", "Ł": r"{\L}", "æ": r"{\ae}", "Æ": r"{\AE}",
    "œ": r"{\oe}", "Œ": r"{\OE}", "ı": r"{\i}",
    "\N{EN DASH}": r"\textendash{}", "\N{EM DASH}": r"\textemdash{}",
    "\N{HORIZONTAL ELLIPSIS}": r"\ldots{}", "\N{NO-BREAK SPACE}": "~",
    "\N{NARROW NO-BREAK SPACE}": r"\,", "\N{LEFT SINGLE QUOTATION MARK}": "`", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": "``", "\N{RIGHT DOUBLE QUOTATION MARK}": "''",
    "\N{MINUS SIGN}": "$-$", "±": r"$\pm$", "\N{MULTIPLICATION SIGN}": r"$\times$", "≤": r"$\leq$", "≥": r"$\geq$",
    "→": r"$\to$", "°": r"$^\circ$",
}  # fmt: skip
COLUMNS = 6  # of `$0.53 \pm 0.04$` on a page 5.5 inches wide
SIGNS_FOR_NOTHING = {VERDICTS["skipped"][1]: "--", VERDICTS["incomplete"][1]: r"\ldots"}
HEAD = 11  # characters of a line in the head of a column


def text(words: str) -> str:
    """Words that LaTeX prints and does not obey; a character that it may not have a sign for becomes its number."""
    return re.sub("-(?=-)", "-{}", "".join(character(c) for c in unicodedata.normalize("NFC", words)))


def character(c: str) -> str:
    """One character of a text."""
    if c in SPECIAL:
        return SPECIAL[c]
    if c.isspace() and c not in SIGNS:
        return " "
    if c.isascii() and c.isprintable():
        return c
    letter = unicodedata.normalize("NFD", c)
    base, mark = letter[0], letter[1:]
    if base.isascii() and base.isalpha() and mark in ACCENTS:
        accent = ACCENTS[mark]
        return f"{{\\{accent}{{{base}}}}}" if accent.isalpha() else f"{{\\{accent}{base}}}"
    return SIGNS.get(c, f"[U+{ord(c):04X}]")


def table(grid: Grid, caption: str, label: str, remark: str) -> str:
    """A `table` of a board: as many parts of at most `COLUMNS` columns as it takes, and what its marks mean.

    `caption` and `remark` are plain text; the remark is a comment above.
    """
    marks = [rf"\textsuperscript{{{mark}}}~{text(words)}." for words, mark in grid.marks.items()]
    lines = [
        f"% {text(remark)}",
        r"% needs \usepackage{booktabs}",
        r"\begin{table}[t]",
        r"\centering",
        rf"\caption{{{text(caption)}}}",
        rf"\label{{{label}}}",
        r"\footnotesize",
        r"\setlength{\tabcolsep}{4pt}",
        "\n\\par\\medskip\n".join(tabular(grid, part) for part in parts(len(grid.heads))),
        *([rf"\par\smallskip\parbox{{\linewidth}}{{\raggedright {' '.join(marks)}}}"] if marks else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def parts(n_columns: int) -> list[slice]:
    """All columns in order, in parts of nearly the same width."""
    n_parts = -(-n_columns // COLUMNS)
    ends = [n_columns * part // n_parts for part in range(n_parts + 1)]
    return [slice(*pair) for pair in pairwise(ends)]


def tabular(grid: Grid, part: slice) -> str:
    """Some columns of a board."""
    heads = grid.heads[part]
    rows = [cells_of(text(name), *(number(e, grid.marks) for e in line[part])) for name, line in grid.lines]
    if grid.total_line:
        rows.insert(-1, r"\midrule")
    return "\n".join(
        [
            rf"\begin{{tabular}}{{l{'c' * len(heads)}}}",
            r"\toprule",
            cells_of("", *(head(name) for name in heads)),
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )


def cells_of(*cells: str) -> str:
    """A line of a table."""
    return " & ".join(cells) + r" \\"


def head(name: str) -> str:
    """The name over a column, broken after hyphens, dots and spaces where it is long."""
    lines = [""]
    for piece in re.findall(r"[^-./_@+ ]+[-./_@+ ]*|[-./_@+ ]+", name):
        if lines[-1] and len(lines[-1]) + len(piece.strip()) > HEAD:
            lines.append("")
        lines[-1] += piece
    stacked = r" \\ ".join(text(line.strip()) for line in lines)
    return rf"\shortstack{{{stacked}}}"


def number(entry: Entry, marks: Mapping[str, str]) -> str:
    """`$0.53 \\pm 0.04^{a}$`, or the sign for a number that is not there."""
    if entry.estimate is None:
        return SIGNS_FOR_NOTHING.get(entry.without, "")
    found, raised = entry.estimate, ",".join(marks[note] for note in entry.notes)
    parts = [minus_zero(f"{found.mean:.2f}")]
    if found.half_width is not None:
        parts.append(rf"\pm {found.half_width:.2f}")
    return f"${' '.join(parts)}{f'^{{{raised}}}' if raised else ''}$"

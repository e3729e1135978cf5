"""A page of headings, tables and figures, as HTML or as Markdown."""

import base64
import html
import re
from urllib.parse import quote

from bsnn.analysis.figures import saving

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
       padding: 0 1rem; color: #111; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right;
         border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #111; vertical-align: bottom; }
td { white-space: nowrap; } /* "95.1 ± 0.2" stays one line */
th:first-child, td:first-child { text-align: left; }
.wide { overflow-x: auto; } /* a table wider than the screen scrolls by itself */
figure { margin: 1.5rem 0; } figure img { width: 100%; }
figcaption, .note { color: #444; font-size: .9rem; }
h1, .note, li, figcaption { overflow-wrap: anywhere; }
pre { background: #f4f4f4; padding: .8rem; white-space: pre-wrap;
      overflow-wrap: anywhere; }
@media (max-width: 40rem) { body { margin: 1rem auto; font-size: 15px; } }
@media print { figure, table { break-inside: avoid; } .wide { overflow: visible; } }
"""


class Html:
    """One HTML file that needs no other: its figures are inside."""

    def __init__(self):
        self._parts = []

    def heading(self, text, level=2):
        if level == 1:
            self._title = html.escape(text)
        self._parts.append(f"<h{level}>{html.escape(text)}</h{level}>")

    def table(self, table):
        rows = "".join(
            f"<tr>{_cells('td', row)}</tr>" for row in table.itertuples(index=False)
        )
        self._parts.append(
            f'<div class="wide"><table><thead><tr>{_cells("th", table)}</tr></thead>'
            f"<tbody>{rows}</tbody></table></div>"
        )

    def note(self, text):
        self._parts.append(f'<p class="note">{html.escape(text)}</p>')

    def code(self, text):
        self._parts.append(f"<pre>{html.escape(text)}</pre>")

    def items(self, texts):
        items = "".join(f"<li>{html.escape(text)}</li>" for text in texts)
        self._parts.append(f"<ul>{items}</ul>")

    def figure(self, number, drawing):
        data = base64.b64encode(saving.svg_text(drawing.figure).encode()).decode()
        self._parts.append(
            f'<figure><img alt="{html.escape(drawing.name)}" '
            f'src="data:image/svg+xml;base64,{data}">'
            f"<figcaption>Figure {number}. {html.escape(drawing.caption)}</figcaption>"
            "</figure>"
        )

    def text(self):
        """Return the whole page."""
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{self._title}</title><style>{_STYLE}</style></head>\n<body>"
            + "\n".join(self._parts)
            + "</body></html>\n"
        )


class Markdown:
    """A Markdown file; figures and tables lie in a folder beside it.

    Parameters
    ----------
    folder : Path
        Where they go; the page names it relative to its own place.
    """

    def __init__(self, folder):
        self._folder = folder
        self._parts = []

    def heading(self, text, level=2):
        self._parts.append(f"{'#' * level} {text}")

    def table(self, table):
        rows = [list(table), *table.itertuples(index=False)]
        rows = [[_plain(text) for text in row] for row in rows]
        rows.insert(1, ["---"] + ["---:"] * (table.shape[1] - 1))
        self._parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))

    def note(self, text):
        self._parts.append(text)

    def code(self, text):
        self._parts.append(f"```sh\n{text}\n```")

    def items(self, texts):
        self._parts.append("\n".join(f"- {_plain(text)}" for text in texts))

    def figure(self, number, drawing):
        path = self._folder / drawing.name
        saving.save_figure(drawing.figure, path, drawing.table, pdf=False, dpi=120)
        name = self._link(drawing.name)
        self._parts.append(
            f"![{drawing.name}]({name}.png)\n\n"
            f"*Figure {number}. {drawing.caption}* [Numbers]({name}.csv)."
        )

    def data(self, name, table):
        """Save a table beside the page, and say so."""
        saving.save_table(self._folder / f"{name}.csv", table)
        self._parts.append(f"All runs: [{name}.csv]({self._link(name)}.csv).")

    def _link(self, name):
        return quote(f"{self._folder.name}/{name}")

    def text(self):
        """Return the whole page."""
        return "\n\n".join(self._parts) + "\n"


def _plain(text):
    """Return text that Markdown shows as it is: names of folders may hold anything."""
    return re.sub(r"([\\`*<|\[\]])", r"\\\1", str(text)).replace("\n", " ")


def _cells(tag, texts):
    return "".join(f"<{tag}>{html.escape(str(text))}</{tag}>" for text in texts)

"""The frame of a page: head, styles, and texts made safe. No torch here."""

from __future__ import annotations

from html import escape

from nfn_cli.phrases import escaped

# Whatever slips through is not loaded and not run.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d5dbe3; --page: #ffffff; --card: #f5f7fa;
  --accent: #2a62b8; --warn: #8a5a00; --warn-page: #fff6e0; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --soft: #9aa5b4; --line: #38414e; --page: #14181e;
  --card: #1d232b; --accent: #7fb0f5; --warn: #f0c36a; --warn-page: #2c2515; --bad: #f2867e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 74rem; padding: 1.25rem; background: var(--page); color: var(--ink);
  font: 0.95rem/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; margin: 0 0 0.75rem; } h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 0.25rem; }
p { margin: 0.4rem 0; } .soft { color: var(--soft); }
.small { font-size: 0.82rem; white-space: nowrap; } h2 .soft { font-weight: 400; font-size: 0.95rem; }
.facts { display: flex; flex-wrap: wrap; gap: 0.6rem; margin: 0.75rem 0; padding: 0; list-style: none; }
.facts li { background: var(--card); border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.4rem 0.8rem; }
.facts b { display: block; font-size: 1.3rem; line-height: 1.2; }
.note { background: var(--warn-page); border-left: 0.25rem solid var(--warn); padding: 0.4rem 0.8rem;
  margin: 0.75rem 0; }
.wrap { overflow-wrap: anywhere; }
.name { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 0.88em; overflow-wrap: anywhere; }
.tag { border: 1px solid currentColor; border-radius: 1rem; padding: 0 0.5rem; font-size: 0.78rem; white-space: nowrap;
  color: var(--soft); }
.tag.root { color: var(--warn); } .tag.derived { color: var(--accent); }
.bad { color: var(--bad); }
.tree ul { list-style: none; margin: 0; padding-left: 1.4rem; } .tree > ul { padding-left: 0; }
.tree { overflow-x: auto; } .tree li { position: relative; padding: 0.15rem 0; min-width: 11rem; }
.tree li li::before { content: ""; position: absolute; left: -0.9rem; top: 0; height: 100%;
  border-left: 1px solid var(--line); }
.tree li li::after { content: ""; position: absolute; left: -0.9rem; top: 0.95rem; width: 0.7rem;
  border-top: 1px solid var(--line); }
.tree li li:last-child::before { height: 0.95rem; }
.scroll { overflow-x: auto; }
svg { display: block; max-width: 100%; height: auto; } svg text { fill: var(--ink); font: 11px system-ui, sans-serif; }
.key { display: flex; flex-wrap: wrap; gap: 0.3rem 1rem; padding: 0; list-style: none; font-size: 0.85rem; }
.key i { display: inline-block; width: 0.8rem; height: 0.8rem; margin-right: 0.35rem; border: 1px solid var(--line);
  vertical-align: -0.1rem; }
.numbered { columns: 22rem; column-gap: 2rem; font-size: 0.85rem; padding-left: 2.2rem; }
table { border-collapse: collapse; width: 100%; font-size: 0.88rem; }
th { text-align: left; border-bottom: 2px solid var(--line); padding: 0.3rem 0.6rem 0.3rem 0; vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.6rem 0.3rem 0; vertical-align: top; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
@media (max-width: 40rem) {
  body { padding: 0.75rem; } .tree ul { padding-left: 1rem; } .tree li li::before, .tree li li::after { left: -0.7rem; }
  thead { display: none; } table, tbody, tr, td { display: block; }
  tr { border: 1px solid var(--line); border-radius: 0.5rem; margin: 0.5rem 0; padding: 0.3rem 0.6rem; }
  td { border: 0; padding: 0.1rem 0; display: grid; grid-template-columns: 6.5rem 1fr; gap: 0.5rem; text-align: left; }
  td::before { content: attr(data-label); color: var(--soft); } td:empty { display: none; }
  .number { text-align: left; white-space: normal; }
}
"""


def text(value: object) -> str:
    r"""A text that commands neither the browser nor the reader's eye: control characters and turns are escaped.

    >>> text("<b>\u202e&")
    '&lt;b&gt;\\u202e&amp;'
    """
    return escape(escaped(str(value)), quote=True)


def named(path: str) -> str:
    """A file's name."""
    return f'<span class="name">{text(path)}</span>'


def document(title: str, parts: list[str]) -> str:
    """A whole page.

    Args:
        title: plain text.
        parts: of the body, as HTML.
    """
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(title)}</title><style>{_STYLE}</style>"
    )
    body = "\n".join([f"<h1>{text(title)}</h1>", *parts])
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def table(columns: list[tuple[str, bool]], rows: list[list[str]]) -> str:
    """A table, whose rows become cards on a narrow screen.

    Args:
        columns: name, and whether it holds numbers.
        rows: of cells, as HTML.
    """
    heads = "".join(f"<th{_number(right)}>{text(name)}</th>" for name, right in columns)
    lines = []
    for row in rows:
        cells = (
            f'<td{_number(right)} data-label="{text(name)}">{cell}</td>'
            for (name, right), cell in zip(columns, row, strict=True)
        )
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f"<table><thead><tr>{heads}</tr></thead><tbody>\n" + "\n".join(lines) + "\n</tbody></table>"


def _number(right: bool) -> str:
    return ' class="number"' if right else ""

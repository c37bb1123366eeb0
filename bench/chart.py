"""The rates as bars, in SVG."""

from __future__ import annotations

from html import escape

from bench.contestants import CONTESTANTS
from bench.report import Rounds, medians

WIDTH, LABELS, BAR, GAP, TOP = 880, 350, 22, 10, 44
STYLE = """
  text { font: 14px system-ui, sans-serif; fill: #1f2328 }
  .title { font-weight: 600 }
  .ours { fill: #1f6feb } .others { fill: #8c959f }
  @media (prefers-color-scheme: dark) { text { fill: #e6edf3 } .ours { fill: #58a6ff } .others { fill: #6e7681 } }
"""


def draw(rounds: Rounds) -> str:
    """Return the chart of requests per second, fastest first."""
    rates = {name: medians(runs)["per_second"] or 0.0 for name, runs in rounds.items()}
    names = sorted(rates, key=lambda name: -rates[name])
    scale = (WIDTH - LABELS - 90) / max(max(rates.values()), 1e-9)
    rows = []
    for place, name in enumerate(names):
        y = TOP + place * (BAR + GAP)
        width = max(1.0, rates[name] * scale)
        kind = "others" if CONTESTANTS[name].yardstick else "ours"
        rows += [
            f'<text x="{LABELS - 10}" y="{y + 16}" text-anchor="end">{escape(CONTESTANTS[name].title)}</text>',
            f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{width:.1f}" height="{BAR}" rx="3"/>',
            f'<text x="{LABELS + width + 8:.1f}" y="{y + 16}">{rates[name]:,.0f}</text>',
        ]
    height = TOP + len(names) * (BAR + GAP) + 6
    body = "\n".join(f"  {row}" for row in rows)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="createEvent, requests per second">\n  <style>{STYLE}  </style>\n'
        f'  <text class="title" x="10" y="24">createEvent, requests per second</text>\n{body}\n</svg>\n'
    )

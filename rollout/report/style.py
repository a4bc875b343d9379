"""The style sheet of the HTML page: light and dark, on screen and on paper, with nothing fetched from anywhere.

The two colours of the versions are the vermilion and the blue of Okabe and Ito's palette (jfly.uni-koeln.de/color),
which people with colour-blindness tell apart; dashes and markers differ as well.
"""

from typing import Final

_LIGHT: Final = """
  --paper: #ffffff; --ink: #1b1f24; --soft: #59636e; --line: #d5dae0; --faint: #eceff2; --card: #f6f8fa;
  --canary: #d55e00; --stable: #0072b2; --good: #1a7f37; --bad: #c4202b; --warn: #8a6100; --limit: #6e40c9;
"""
_DARK: Final = """
  --paper: #0f1216; --ink: #e6e9ed; --soft: #9aa4af; --line: #343b44; --faint: #20262d; --card: #171b21;
  --canary: #ff8f4a; --stable: #5bb8ee; --good: #4cc26a; --bad: #ff6b70; --warn: #dcaa3c; --limit: #b99aff;
"""

STYLE: Final = f"""
:root {{ color-scheme: light dark; {_LIGHT} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0 auto; padding: 28px 24px 56px; max-width: 1060px; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif; }}
h1 {{ font-size: 24px; line-height: 1.25; margin: 0 0 4px; letter-spacing: -.01em; }}
h2 {{ font-size: 20px; line-height: 1.3; margin: 0 0 4px; letter-spacing: -.01em; overflow-wrap: anywhere; }}
h3 {{ font-size: 15px; margin: 30px 0 8px; }}
p {{ margin: 0 0 8px; }}
.soft {{ color: var(--soft); }}
section {{ border-top: 1px solid var(--line); margin-top: 26px; padding-top: 24px; }}
.word {{ font-weight: 600; white-space: nowrap; }}
.good {{ color: var(--good); }} .bad {{ color: var(--bad); }} .warn {{ color: var(--warn); }}
.outcome {{ border-left: 4px solid currentColor; padding: 2px 0 2px 12px; margin: 10px 0 16px; }}
.outcome b {{ white-space: normal; font-size: 16px; }}
.outcome span {{ color: var(--ink); overflow-wrap: anywhere; }}
dl {{ display: flex; flex-wrap: wrap; gap: 1px; margin: 0;
  background: var(--line); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; }}
dl div {{ flex: 1 1 225px; background: var(--card); padding: 8px 12px; }}
dl .broad {{ flex: 2 1 452px; }}
dt {{ color: var(--soft); font-size: 12px; }}
dd {{ margin: 0; overflow-wrap: anywhere; }}
dd small {{ display: block; color: var(--soft); font-size: 12px; }}
figure {{ margin: 26px 0 0; break-inside: avoid; }}
figcaption {{ font-weight: 600; }}
figure svg {{ display: block; width: 100%; height: auto; overflow: visible; }}
.legend {{ display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 13px; color: var(--soft); margin: 4px 0 10px; }}
.legend span {{ display: inline-flex; align-items: center; gap: 7px; }}
.legend svg {{ width: 34px; height: 12px; }}
svg text {{ font-size: 11px; fill: var(--ink); }}
svg .title {{ font-size: 12px; font-weight: 600; paint-order: stroke; stroke: var(--paper); stroke-width: 5px; }}
svg .tick {{ fill: var(--soft); font-variant-numeric: tabular-nums; }}
svg .absent {{ fill: var(--soft); text-anchor: middle; font-style: italic; }}
svg .axis {{ stroke: var(--soft); }}
svg .grid {{ stroke: var(--line); stroke-width: .7; }}
svg .faint {{ stroke: var(--faint); }}
svg .line {{ fill: none; stroke-width: 1.9; stroke-linejoin: round; }}
svg .canary {{ stroke: var(--canary); fill: var(--canary); }}
svg .stable {{ stroke: var(--stable); fill: var(--paper); }}
svg .stable .line {{ stroke-dasharray: 5 3; }}
svg .stable rect {{ stroke-width: 1.2; }}
svg .area {{ stroke: none; opacity: .13; }}
svg .limit {{ stroke: var(--limit); fill: none; stroke-width: 1.3; stroke-dasharray: 9 5; }}
svg .limit.relative {{ stroke-dasharray: 2 3; }}
svg .hit {{ stroke: transparent; fill: transparent; }}
svg .mark line {{ stroke: var(--soft); stroke-width: .9; stroke-dasharray: 2 3; }}
svg .mark .hit {{ stroke: transparent; stroke-width: 9; }}
svg .mark text {{ fill: var(--soft); }}
svg .rollback line, svg .promote line, svg .person line, svg .trouble line {{ stroke-dasharray: none;
  stroke-width: 1.4; }}
svg .rollback line {{ stroke: var(--bad); }} svg .rollback text {{ fill: var(--bad); font-weight: 600; }}
svg .promote line {{ stroke: var(--good); }} svg .promote text {{ fill: var(--good); font-weight: 600; }}
svg .person line, svg .trouble line {{ stroke: var(--warn); }}
svg .person text, svg .trouble text {{ fill: var(--warn); }}
svg .mark line.hit {{ stroke: transparent; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-size: 14px; }}
th {{ text-align: left; font-size: 12px; font-weight: 600; color: var(--soft); white-space: nowrap; }}
th, td {{ padding: 6px 14px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }}
td {{ overflow-wrap: anywhere; min-width: 7em; }}
td.exact {{ min-width: 0; white-space: nowrap; overflow-wrap: normal; font-variant-numeric: tabular-nums; }}
td ul {{ margin: 0; padding: 0; list-style: none; font-size: 13px; min-width: 24em; }}
td small {{ display: block; color: var(--soft); font-size: 12px; }}
details table {{ border-top: 1px solid var(--line); }}
details th {{ padding-left: 12px; width: 8em; }}
details tr:last-child > * {{ border-bottom: 0; }}
td.long {{ min-width: 16em; }}
header tr:last-child td {{ border-bottom: 0; }}
a {{ color: var(--stable); }}
tr {{ break-inside: avoid; }}
.bar {{ display: inline-block; width: 64px; height: 8px; margin-right: 8px; border: 1px solid var(--soft);
  border-radius: 2px; vertical-align: 0; }}
.bar path {{ fill: var(--soft); }}
details {{ border: 1px solid var(--line); border-radius: 8px; margin: 8px 0; }}
summary {{ cursor: pointer; padding: 7px 12px; overflow-wrap: anywhere; }}
pre {{ margin: 0; padding: 10px 12px; border-top: 1px solid var(--line); background: var(--card); overflow-x: auto;
  font: 12.5px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; border-radius: 0 0 8px 8px; }}
footer {{ margin-top: 40px; color: var(--soft); font-size: 13px; }}
@page {{ margin: 14mm; }}
@media print {{
  body {{ padding: 0; max-width: none; font-size: 12px; }}
  section + section {{ break-before: page; border-top: 0; }}
  h3 {{ break-after: avoid; }}
  .wide {{ overflow: visible; }}
  table, td ul, td.exact {{ font-size: 10px; }}
  td, td ul, td.long {{ min-width: 0; }}
  th, td {{ padding: 4px 8px 4px 0; }}
  td.long {{ width: 24%; }}
  td ul {{ min-width: 15em; }}
  .bar {{ width: 32px; }}
  pre {{ font-size: 10px; overflow: visible; }}
  details:not([open])::details-content {{ content-visibility: visible; display: block; }}
}}
"""

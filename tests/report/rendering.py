"""A comment as GitHub shows it, near enough to look at: GitHub's style sheet, alerts, and charts drawn by mermaid."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Final

from markdown_it import MarkdownIt

MODULES: Final = Path(__file__).parent / "node_modules"
_ALERT: Final = re.compile(r"<blockquote>\n<p>\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION)\]\n")
_CHART: Final = re.compile(r'<pre><code class="language-mermaid">(.*?)</code></pre>', re.DOTALL)
_COLOURS: Final = {"NOTE": "note", "TIP": "tip", "IMPORTANT": "important", "WARNING": "warning", "CAUTION": "caution"}


def as_html(body: str) -> str:
    """The comment's Markdown as HTML."""
    parser = MarkdownIt("gfm-like", {"html": True, "linkify": False})
    whole = parser.render(body)
    whole = re.sub(
        rf"{_ALERT.pattern}(.*?)</blockquote>",
        lambda found: (
            f'<div class="markdown-alert markdown-alert-{_COLOURS[found[1]]}">'
            f'<p class="markdown-alert-title">{found[1].capitalize()}</p><p>{found[2]}</div>'
        ),
        whole,
        flags=re.DOTALL,
    )
    return _CHART.sub(lambda found: f'<pre class="mermaid">{found[1]}</pre>', whole)


def as_page(body: str, *, dark: bool, title: str = "github-actions bot commented", width: int = 900) -> str:
    """A page of its own, which needs only the files of `node_modules`."""
    theme = "dark" if dark else "light"
    look = (MODULES / f"github-markdown-css/github-markdown-{theme}.css").read_text(encoding="utf-8")
    mermaid = (MODULES / "mermaid/dist/mermaid.min.js").as_uri()
    ground, border, bar = ("#0d1117", "#3d444d", "#151b23") if dark else ("#ffffff", "#d1d9e0", "#f6f8fa")
    ink = "#f0f6fc" if dark else "#1f2328"
    return f"""<!doctype html><html><head><meta charset="utf-8"><style>{look}
body {{ margin: 0; padding: 16px; background: {ground}; width: {width - 32}px; }}
.comment {{ border: 1px solid {border}; border-radius: 6px; overflow: hidden; }}
.who {{ background: {bar}; border-bottom: 1px solid {border}; padding: 8px 16px; color: {ink};
  font: 600 14px -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif; }}
.markdown-body {{ padding: 16px; font-size: 14px; }}
.markdown-body pre.mermaid {{ background: transparent; padding: 0; text-align: center; }}
</style></head><body><div class="comment"><div class="who">{html.escape(title)}</div>
<article class="markdown-body">{as_html(body)}</article></div>
<script src="{mermaid}"></script>
<script>
mermaid.initialize({{ startOnLoad: false, theme: "{"dark" if dark else "default"}" }});
mermaid.run().finally(() => {{ document.documentElement.dataset.height = document.body.scrollHeight; }});
</script>
</body></html>"""

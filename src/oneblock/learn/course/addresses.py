"""When two addresses are one: the same video, paper or page, however it is written."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

VIDEOS = {"youtube.com", "m.youtube.com", "music.youtube.com", "youtube-nocookie.com", "youtu.be"}
PAPERS = {"arxiv.org", "export.arxiv.org", "browse.arxiv.org"}
PAPER = re.compile(r"(?:abs|pdf|html|format|ps|src)/(?P<id>\d{4}\.\d{4,5}|[a-z-]+(?:\.[a-z]{2})?/\d{7})(?:v\d+)?", re.I)
NAMED = re.compile(r"(?:doi\.org/10\.48550/)?arxiv[:.](?P<id>\d{4}\.\d{4,5}|[a-z-]+/\d{7})(?:v\d+)?$", re.I)
TRACKS = re.compile(r"utm_\w+|fbclid|gclid|ref|si|feature|t|start|ab_channel", re.I)
"""Parts of a query that say where one came from or where to begin, not what is there."""


def same(address: str) -> str:
    """A key that two addresses share just when they are the same source.

    Videos by id (watch?v=, youtu.be, embed, shorts, live), arXiv papers by id (abs, pdf, html, any version), PyTorch's
    documentation in any version; else host and path, without scheme, www., fragment, trailing slash and trackers.
    """
    text = address.strip()
    if found := NAMED.search(re.sub(r"^https?://", "", text, flags=re.I)):
        return f"arxiv:{found['id'].lower()}"
    if "://" not in text:
        text = f"https://{text}"
    parts = urlsplit(text)
    host = (parts.hostname or "").removeprefix("www.")
    path, query = unquote(parts.path), dict(parse_qsl(parts.query))
    if host in VIDEOS and (video := _video(host, path, query)):
        return f"video:{video}"
    if host in PAPERS and (found := PAPER.match(path.lstrip("/"))):
        return f"arxiv:{found['id'].lower()}"
    if host in {"pytorch.org", "docs.pytorch.org"}:
        host, path = "docs.pytorch.org", re.sub(r"^/docs/[^/]+/", "/docs/", path)
    if host == "github.com":
        path = path.lower().removesuffix("/").removesuffix(".git")
    path = re.sub(r"/(index\.html?)?$", "", path)
    kept = urlencode(sorted((name, value) for name, value in query.items() if not TRACKS.fullmatch(name)))
    return f"{host}{path}" + (f"?{kept}" if kept else "")


def _video(host: str, path: str, query: dict[str, str]) -> str:
    """The video's id, which keeps its case; "" where the address has none (a channel, a list)."""
    steps = [step for step in path.split("/") if step]
    if host == "youtu.be":
        return steps[0] if steps else ""
    if len(steps) == 2 and steps[0] in {"embed", "shorts", "live", "v", "e"}:
        return steps[1]
    return query.get("v", "")

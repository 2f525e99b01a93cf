"""Our own scripts and styles, and plotly.js from the installed package, served by the page itself.

Nothing comes from elsewhere, so the page works with no network. The address holds a digest of the
content: browsers keep a file for good and still never see an old one.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
import json
import re
from pathlib import Path

import brotli
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bert_demo.data.files import file_identity
from bert_demo.ui.parts import language

_FOLDER = Path(__file__).parents[1] / "static"
_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8"}
_PREFIX = "static-of-bert-demo"
_BUNDLE = "page.js"
_QUALITY = 9
"""Of brotli: a second for plotly.js, once; the best, 11, takes fifteen for a tenth less."""
_OUTLINE = (
    "gradio-app:not(:has(*))::before { content: ''; margin: 20px auto; width: min(1240px, 94vw); "
    "height: 80vh; background: linear-gradient(#8885 0 0) 0 0 / 55% 30px, "
    "linear-gradient(#8883 0 0) 0 54px / 23% 100%, "
    "linear-gradient(#8883 0 0) 100% 54px / 75% 100%; background-repeat: no-repeat; } "
    "@media (max-width: 800px) { gradio-app:not(:has(*))::before { background-size: 100% 30px, "
    "100% 60px, 100% 100%; background-position: 0 0, 0 54px, 0 134px; } }"
)
_PARTS = (
    "common.js",
    "address.js",
    "form.js",
    "senses.js",
    "film.js",
    "curves.js",
    "sketch.js",
    "recorded.js",
    "stage.js",
    "live.js",
    "moments.js",
    "follow.js",
    "fails.js",
    "view.js",
    "contexts.js",
    "runs.js",
)


def _path(name: str) -> Path:
    if name == "plotly.min.js":
        # Found without importing plotly, which the page has no other use for.
        found = importlib.util.find_spec("plotly")
        assert found is not None and found.origin is not None
        return Path(found.origin).parent / "package_data" / name
    return _FOLDER / name


def _read(name: str) -> bytes:
    if name == _BUNDLE:
        return bundle().encode()
    return _path(name).read_bytes()


def bundle() -> str:
    """Our scripts as one file, as scripts that a page adds to itself come in any order.

    Its first line has the page's language, and its translations of what the scripts say.
    """
    scripts = "\n".join(_path(part).read_text(encoding="utf-8") for part in _PARTS)
    code = language.current()
    said = {key: words for key, words in language.catalogue(code).items() if f'"{key}"' in scripts}
    first = json.dumps({"language": code, "translations": said})
    return f"window.bertDemo = {first};\n{scripts}"


@functools.cache
def _names() -> frozenset[str]:
    own = [path.name for path in _FOLDER.iterdir() if path.suffix in _TYPES]
    return frozenset([*own, _BUNDLE, "plotly.min.js"])


@functools.cache
def _compressed(name: str, code: str, encoding: str) -> bytes:
    """The file for a page in the language of this code, compressed by "br" or "gzip"."""
    content = _read(name)
    if encoding == "br":  # a sixth less of plotly.js than by gzip
        return bytes(brotli.compress(content, quality=_QUALITY))
    return gzip.compress(content, mtime=0)


def address(name: str) -> str:
    """Where the page finds the file: relative, so that it holds under any root path."""
    # Dates and sizes tell as much as contents, and plotly.js is large to read at every start.
    parts = _PARTS if name == _BUNDLE else (name,)
    versions = json.dumps([file_identity(_path(part)) for part in parts])
    versions += str(language.catalogue(language.current()))
    digest = hashlib.sha256(versions.encode()).hexdigest()[:10]
    return f"{_PREFIX}/{digest}/{name}"


def head() -> str:
    """Tags for the page's head: our script, the address of plotly.js, and the page's outline, which
    stands there until gradio has built the page."""
    return (
        f"<style>{_OUTLINE}</style>\n"
        f'<meta name="bert-demo-plotly" content="{address("plotly.min.js")}">\n'
        f'<script defer src="{address(_BUNDLE)}"></script>'
    )


def when_loaded(call: str) -> str:
    """Script of a component that calls `window.bertDemo.<call>` once our script is there."""
    # The last part brings mountRuns, so with it there is everything.
    return (
        "const begin = () => window.bertDemo && window.bertDemo.mountRuns "
        f"? window.bertDemo.{call} : setTimeout(begin, 50); begin();"
    )


def css() -> str:
    """Every style sheet of ours in one text."""
    return "\n".join(p.read_text(encoding="utf-8") for p in sorted(_FOLDER.glob("*.css")))


def _serve(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _names():
        return Response("There is no such file.", 404, media_type="text/plain")
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    kind = _TYPES[Path(name).suffix]
    accepted = re.findall(r"br|gzip", request.headers.get("accept-encoding", ""))
    if not accepted:
        return Response(_read(name), headers=headers, media_type=kind)
    encoding = headers["Content-Encoding"] = min(accepted)
    content = _compressed(name, language.current(), encoding)
    return Response(content, headers=headers, media_type=kind)


def routes() -> list[Route]:
    """Routes to hand to the web server."""
    return [Route(f"/{_PREFIX}/{{digest}}/{{name}}", _serve, methods=["GET"])]

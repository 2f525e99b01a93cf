"""Our own scripts and styles, and plotly.js from the installed package, served by the page itself.

Nothing comes from elsewhere, so the page works with no network. The address holds a digest of the
content: browsers keep a file for good and still never see an old one.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bert_demo.data.files import file_identity
from bert_demo.ui.parts import language, packed

_FOLDER = Path(__file__).parents[1] / "static"
_PREFIX = "static-of-bert-demo"
_BUNDLE, _PLOTLY = "page.js", "plotly.min.js"
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
    if name == _PLOTLY:
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
    own = [path.name for path in _FOLDER.iterdir() if path.suffix in packed.TYPES]
    return frozenset([*own, _BUNDLE, _PLOTLY])


def address(name: str) -> str:
    """Where the page finds the file: relative, so that it holds under any root path."""
    # Dates and sizes tell as much as contents, and plotly.js is large to read at every start.
    parts = _PARTS if name == _BUNDLE else (name,)
    versions = json.dumps([file_identity(_path(part)) for part in parts])
    versions += str(language.catalogue(language.current()))
    digest = hashlib.sha256(versions.encode()).hexdigest()[:10]
    return f"{_PREFIX}/{digest}/{name}"


def head() -> str:
    """Tags for the page's head: our script, and the address of plotly.js."""
    return (
        f'<meta name="bert-demo-plotly" content="{address(_PLOTLY)}">\n'
        f'<script defer src="{address(_BUNDLE)}"></script>'
    )


def to_pack() -> list[tuple[str, Callable[[], bytes]]]:
    """What every page asks for, in this order, as `packed.pack_well` takes it."""
    return [(_packed_as(name), functools.partial(_read, name)) for name in (_BUNDLE, _PLOTLY)]


def _packed_as(name: str) -> str:
    """Our scripts are others in another language."""
    return f"{language.current()}/{name}"


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
    return packed.response(request, _packed_as(name), functools.partial(_read, name))


def routes() -> list[Route]:
    """Routes to hand to the web server."""
    return [Route(f"/{_PREFIX}/{{digest}}/{{name}}", _serve, methods=["GET"])]

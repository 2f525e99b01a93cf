"""Gradio's own scripts and styles: served well compressed, and asked for at once.

Their names hold a digest of their contents. Each script names those that it needs, so a browser
learns of them one after the other, to and fro for each; named in the page's HTML, all of them are
on their way together. Which they are is read from what the builder of those scripts (Vite) leaves
in them; where a later Gradio has it otherwise, none is named and the page is slower, no more.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from gradio.route_utils import BUILD_PATH_LIB
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from bert_demo.ui.parts import packed

_FOLDER = Path(str(BUILD_PATH_LIB))
_FIRST = re.compile(r'src="\./assets/([\w.-]+\.js)"')
_LIST = re.compile(r"\bm\.f=\[(.*?)\]")
_IMPORT = r"import\(`\./{name}[\w.-]*`\).{{0,80}}?__vite__mapDeps\(\[([\d,]*)\]\)"
_COMPONENT = r"[,{{]{name}:\{{[^{{}}]*?component:(.*?)\}}"


def needed(components: Iterable[str]) -> list[str]:
    """Names of the files that a page with these components asks for, in the order of need."""
    first = _FIRST.search((_FOLDER.parent / "index.html").read_text(encoding="utf-8"))
    if first is None:
        return []
    names = [*_imported(first[1], "")]
    index = next((n for n in names if n.startswith("Index-") and n.endswith(".js")), "")
    core = next((n for n in names if n.startswith("core-") and n.endswith(".js")), "")
    names += _imported(index, "Blocks-")
    for component in components:
        for part in re.findall(_COMPONENT.format(name=component), _text(core)):
            names += _named(core, part, "")
    return [name for name in dict.fromkeys(names) if name in _names()]


def _imported(script: str, name: str) -> Iterator[str]:
    """What a script asks for with those of its later imports whose names begin so."""
    return _named(script, _text(script), name)


def _named(script: str, part: str, name: str) -> Iterator[str]:
    found = _LIST.search(_text(script))
    files = re.findall(r'"\./([^"]+)"', found[1]) if found else []
    for numbers in re.findall(_IMPORT.format(name=name), part):
        for number in filter(None, numbers.split(",")):
            yield files[int(number)]


@functools.lru_cache(maxsize=8)
def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8") if name in _names() else ""


def hints(names: Iterable[str]) -> str:
    """Tags for the page's head that have a browser fetch the files of these names at once."""
    return "\n".join(
        f'<link rel="modulepreload" crossorigin href="./assets/{name}">'
        if name.endswith(".js")
        else f'<link rel="preload" as="style" crossorigin href="./assets/{name}">'
        for name in names
    )


def to_pack(names: Iterable[str]) -> list[tuple[str, Callable[[], bytes]]]:
    """The files of these names as `packed.pack_well` takes them."""
    return [(name, (_FOLDER / name).read_bytes) for name in names]


@functools.cache
def _names() -> frozenset[str]:
    return frozenset(path.name for path in _FOLDER.iterdir())


def _serve(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _names():
        return Response("There is no such file.", 404, media_type="text/plain")
    path = _FOLDER / name
    if path.suffix not in packed.TYPES:
        return FileResponse(path, headers={"Cache-Control": packed.FOR_GOOD})
    return packed.response(request, name, path.read_bytes)


def routes() -> list[Route]:
    """Routes to hand to the web server, in place of Gradio's own."""
    return [Route("/assets/{name}", _serve, methods=["GET"])]

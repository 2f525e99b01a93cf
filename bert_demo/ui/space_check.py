"""Would a Hugging Face Space accept and run this repository? Asks no network.

    python -m bert_demo.ui.space_check [folder]

Checks the README's front matter, the requirements, the sizes of the files that would be pushed,
and that importing and building the page fetches nothing. Prints what is wrong and exits with 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from bert_demo.common.errors import UserError

# From the Hub's reference of Spaces' configuration.
_COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
_NEEDED = ("title", "emoji", "colorFrom", "colorTo", "sdk", "sdk_version", "app_file", "license")
_KNOWN = {
    *_NEEDED,
    "python_version",
    "suggested_hardware",
    "suggested_storage",
    "app_port",
    "base_path",
    "fullWidth",
    "header",
    "short_description",
    "models",
    "datasets",
    "tags",
    "thumbnail",
    "pinned",
    "hf_oauth",
    "hf_oauth_scopes",
    "hf_oauth_expiration_minutes",
    "disable_embedding",
    "startup_duration_timeout",
    "custom_headers",
    "preload_from_hub",
}
_DESCRIPTION = 60
_FILE_BYTES = 10 * 1024 * 1024

_PYTHONS = ("3.10", "3.12")
"""What ZeroGPU has; a Space with a CPU or a card has them too."""
_TORCH = ("2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.13.0")
"""ZeroGPU's versions, and the one that everything else is tested with."""
_BUILDER = {"pydantic": ("2.12.5",)}
"""The newest that the builder's own gradio[oauth,mcp] leaves possible."""

_BLOCKED_IMPORT = """
import pkgutil, sys, tempfile

def refuse(event, arguments):
    if event == "socket.getaddrinfo" or (
        event == "socket.connect" and not isinstance(arguments[1], (str, bytes))
    ):
        raise SystemExit(f"{event} {arguments[1:]} was called while the page was built")

sys.addaudithook(refuse)
import app
import bert_demo
for module in pkgutil.walk_packages(bert_demo.__path__, "bert_demo."):
    # What builds of PyTorch for cards alone can import is imported where it trains.
    if not module.name.endswith("__main__") and ".gpu_kernels." not in module.name:
        __import__(module.name)

from pathlib import Path
from bert_demo.ui.context import AppContext
from bert_demo.ui.page import build_app
from bert_demo.ui.serving.settings import AppSettings

with tempfile.TemporaryDirectory() as folder:
    build_app(AppContext(AppSettings(data_dir=Path(folder))))
"""


def main(arguments: list[str] | None = None) -> int:
    """Check a folder (this one) and say what is wrong; returns the exit code."""
    given = sys.argv[1:] if arguments is None else arguments
    root = Path(given[0] if given else ".").resolve()
    problems = 0
    for title, check in (
        ("README front matter", front_matter),
        ("requirements", requirements),
        ("sizes of files", sizes),
        ("nothing fetched at start", imports),
    ):
        found = list(check(root))
        problems += len(found)
        print(f"{'ok ' if not found else 'NO '} {title}")
        for line in found:
            print(f"      {line}")
    return 1 if problems else 0


def read_front_matter(root: Path) -> dict[str, Any]:
    """The block between the two lines of dashes; raises `UserError` if there is none."""
    text = (root / "README.md").read_text(encoding="utf-8")
    found = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    if found is None:
        raise UserError("README.md does not begin with a block between two lines of ---.")
    try:
        values = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        raise UserError("README.md's front matter is not YAML: {error}.", error=error) from error
    if not isinstance(values, dict):
        raise UserError("README.md's front matter has no names in it.")
    return values


def front_matter(root: Path) -> Iterator[str]:
    """What is wrong with the README's front matter, a sentence each."""
    try:
        values = read_front_matter(root)
    except (OSError, ValueError) as error:
        yield str(error)
        return
    yield from (f"{name} is missing." for name in _NEEDED if name not in values)
    yield from (f"{name!r} is no setting of a Space." for name in sorted(set(values) - _KNOWN))
    for name, value in values.items():
        if name.endswith("version") and not isinstance(value, str):
            yield f"{name} is {value!r}; put it in quotes, or 3.10 becomes 3.1."
    if values.get("sdk") != "gradio":
        yield f"sdk is {values.get('sdk')!r}; it must be gradio."
    for name in ("colorFrom", "colorTo"):
        if name in values and values[name] not in _COLOURS:
            yield f"{name} is {values[name]!r}; it must be one of: {', '.join(_COLOURS)}."
    emoji = str(values.get("emoji", ""))
    if emoji and (len(emoji) > 8 or any(ord(letter) < 0x2000 for letter in emoji)):
        yield f"emoji is {emoji!r}; it must be an emoji and nothing else."
    description = str(values.get("short_description", ""))
    if len(description) > _DESCRIPTION:
        yield f"short_description has {len(description)} characters; {_DESCRIPTION} is the most."
    if values.get("header") not in (None, "mini", "default"):
        yield f"header is {values['header']!r}; it must be mini or default."
    python = str(values.get("python_version", "3.10"))
    if ".".join(python.split(".")[:2]) not in _PYTHONS:
        yield f"python_version is {python}; ZeroGPU has {' and '.join(_PYTHONS)}."
    if not (root / str(values.get("app_file", "app.py"))).is_file():
        yield f"app_file names {values.get('app_file')}, which is not there."
    for name in ("models", "datasets"):
        for repo in values.get(name) or []:
            if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(repo)):
                yield f"{name} lists {repo!r}; it must be owner/name."


def requirements(root: Path) -> Iterator[str]:
    """What in requirements.txt the builder of a Space would not accept, a sentence each."""
    try:
        wanted = list(_lines(root / "requirements.txt"))
        pins = _pins(root / "constraints.txt")
        sdk = str(read_front_matter(root).get("sdk_version"))
    except (OSError, ValueError) as error:
        yield str(error)
        return
    for line in wanted:
        try:
            need = Requirement(line)
        except InvalidRequirement:
            yield f"{line!r} is not a plain requirement."
            continue
        name: str = canonicalize_name(need.name)
        if need.url:
            yield f"{need.name} comes from an address; the builder should find it by its name."
        for version in {"gradio": (sdk,), "torch": _TORCH, **_BUILDER}.get(name, ()):
            if not need.specifier.contains(version):
                yield f"{line} leaves out {name} {version}, which a Space may have."
        for python in _PYTHONS:
            pin = next((v for v, marker in pins.get(name, []) if _holds(marker, python)), None)
            if pin is None:
                yield f"constraints.txt has no tested version of {name} for Python {python}."
            elif not need.specifier.contains(pin):
                yield f"constraints.txt has {name} {pin}, which {line} leaves out."
    for name, (newest,) in _BUILDER.items():
        for pin, _ in pins.get(name, []):
            if Version(pin) > Version(newest):
                yield f"constraints.txt has {name} {pin}; the builder caps it at {newest}."
    gradio = {pin for pin, _ in pins.get("gradio", [])}
    if gradio != {sdk}:
        yield f"sdk_version is {sdk}, and constraints.txt has gradio {', '.join(sorted(gradio))}."


def sizes(root: Path) -> Iterator[str]:
    """Files that a push would not take as they are, a sentence each."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
    )
    if listed.returncode:
        yield "This is no git repository, so nobody knows what would be pushed."
        return
    for name in filter(None, listed.stdout.decode("utf-8", "surrogateescape").split("\0")):
        path = root / name
        if path.is_file() and path.stat().st_size > _FILE_BYTES:
            size = path.stat().st_size / 1024**2
            yield f"{name} has {size:.1f} MB; a file over 10 MB is refused unless it is in LFS."


def imports(root: Path) -> Iterator[str]:
    """Import everything and build the page where no connection can be made."""
    done = subprocess.run(
        [sys.executable, "-c", _BLOCKED_IMPORT], cwd=root, capture_output=True, text=True
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        yield f"{last[0]}."


def _lines(path: Path) -> Iterator[str]:
    for line in path.read_text(encoding="utf-8").splitlines():
        plain = line.partition(" #")[0].strip()
        if plain and not plain.startswith("#"):
            yield plain


def _pins(path: Path) -> dict[str, list[tuple[str, Any]]]:
    """Package -> [(version, marker or None), ...] from lines name==version ; marker."""
    pins: dict[str, list[tuple[str, Any]]] = {}
    for line in _lines(path):
        pin = Requirement(line)
        (exact,) = pin.specifier
        pins.setdefault(canonicalize_name(pin.name), []).append((exact.version, pin.marker))
    return pins


def _holds(marker: Any, python: str) -> bool:
    """Whether a marker holds on a Space's Linux with this Python."""
    if marker is None:
        return True
    machine = dict(default_environment())
    machine |= {
        "python_version": python,
        "python_full_version": f"{python}.12",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
    }
    return bool(marker.evaluate(machine))


if __name__ == "__main__":
    sys.exit(main())

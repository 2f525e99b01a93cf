"""What importing costs and pulls in, each asked of a fresh interpreter."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bert_demo

ROOT = Path(__file__).resolve().parent.parent
HEAVY = ("torch", "numpy", "pyarrow", "tokenizers", "huggingface_hub", "gradio", "plotly")
PAGE = ("gradio", "plotly")
PACKAGE = ROOT / "bert_demo"
ROOMS = (
    "common",
    "config",
    "data",
    "model",
    "inference",
    "training",
    "interop",
    "runs",
    "ui",
    "cli",
)
"""Each may import from itself and from those before it; ui and cli not from each other."""


def imported_rooms(path: Path) -> Iterator[tuple[int, str]]:
    """Line and room of everything of this package that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path} imports relatively at line {node.lineno}"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            package, _, rest = name.partition(".")
            if package == "bert_demo":
                yield node.lineno, rest.partition(".")[0]


def test_imports_go_one_way() -> None:
    wrong = []
    for room in ROOMS:
        allowed = {*ROOMS[: ROOMS.index(room) + 1]}
        allowed -= {"ui"} if room == "cli" else set()
        for path in [PACKAGE / f"{room}.py", *sorted((PACKAGE / room).rglob("*.py"))]:
            if path.exists():
                places = [(line, to) for line, to in imported_rooms(path) if to not in allowed]
                wrong += [f"{path.relative_to(ROOT)}:{line} imports {to}" for line, to in places]
    assert not wrong


def test_the_root_holds_three_files_and_rooms() -> None:
    found = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    rooms = {room for room in ROOMS if room != "config"}
    assert found == {"__init__.py", "__main__.py", "config.py", *rooms}


ONLY_ON_A_SPACE = {"spaces"}
ONLY_WITH_A_CARD = {"triton"}  # builds of PyTorch for CUDA bring it along
ONLY_A_FILE_OF_IT = {"plotly"}  # the browser's script in it is served


@pytest.mark.parametrize(
    "init", sorted(PACKAGE.rglob("*/__init__.py")), ids=lambda p: p.parent.name
)
def test_a_package_opens_with_one_line_for_each_file(init: Path) -> None:
    lines = (ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or "").splitlines()
    named = [found[1] for line in lines[2:] if (found := re.match(r"(\w+)/? {2,}\S", line))]
    files = {path.stem for path in init.parent.glob("*.py")} - {"__init__"}
    packages = {path.parent.name for path in init.parent.glob("*/__init__.py")}
    assert len(named) == len(set(named))
    assert files | packages <= set(named)


def imported_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has after running `code`."""
    shown = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    result = subprocess.run(
        [sys.executable, "-c", f"{code}\n{shown}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=100,
        check=True,
    )
    return set(result.stdout.splitlines()[-1].split())


def own_modules() -> list[str]:
    found = pkgutil.walk_packages(bert_demo.__path__, "bert_demo.")
    others = "bert_demo.ui", "bert_demo.__main__", "bert_demo.model.gpu_kernels."
    return [module.name for module in found if not module.name.startswith(others)]


def test_import_bert_demo_is_light() -> None:
    assert not imported_after("import bert_demo").intersection(HEAVY)


@pytest.mark.parametrize("arguments", [["--help"], ["pretrain", "--help"], ["pretrain"]])
def test_help_and_usage_errors_are_light(arguments: list[str]) -> None:
    code = f"from bert_demo.cli.parser import main; main({arguments!r})"
    assert not imported_after(code).intersection(HEAVY)


def test_nothing_outside_the_page_imports_the_page() -> None:
    names = own_modules()
    assert "bert_demo.inference.predict" in names
    found = imported_after("\n".join(f"import {name}" for name in names))
    assert "torch" in found
    assert not found.intersection(PAGE)


def test_a_page_with_its_bundled_models_is_built_without_torch(tmp_path: Path) -> None:
    code = f"""
from bert_demo.ui.serving import launch
from pathlib import Path
settings = launch.AppSettings(data_dir=Path({str(tmp_path)!r}))
launch.build_app(launch.AppContext(settings))
"""
    found = imported_after(code)
    assert "gradio" in found
    assert "torch" not in found


def test_every_public_name_can_be_had() -> None:
    for name in bert_demo.__all__:
        value = getattr(bert_demo, name)
        if name != "__version__":
            home = importlib.import_module(f"bert_demo.{bert_demo._HOME[name]}")
            assert value is getattr(home, name)
    assert set(bert_demo.__all__) <= set(dir(bert_demo))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bert_demo.nothing


def test_the_version_is_the_one_that_is_packaged() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.+)"$', text, re.MULTILINE)
    assert found is not None
    assert found[1] == bert_demo.__version__


def test_what_is_imported_is_declared_and_the_other_way() -> None:
    names: set[str] = set()
    for path in (ROOT / "app.py", *(ROOT / "bert_demo").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
                names.add(node.module)
    packages = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"bert_demo"}
    homes = importlib.metadata.packages_distributions()
    # Python 3.10 knows no home of packages that were not built by setuptools.
    imported = {
        homes.get(name, [name])[0].lower() for name in packages - ONLY_ON_A_SPACE - ONLY_WITH_A_CARD
    }
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    declared = set(re.findall(r"^[a-z0-9_-]+", text, re.MULTILINE))
    assert imported == declared - ONLY_A_FILE_OF_IT

"""A stand-in of the part of the Hub that takes models in, on top of the one that gives them out.

It knows one person, "ada", and keeps who sent which token where. Large files go the way of git
LFS; the client's other way, Xet, is a protocol of its own and has to be switched off.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import huggingface_hub.utils._http
import pytest
import yaml
from huggingface_hub import constants

from helpers.hub_server import Answers, HubServer, serving

TOKEN = "hf_" + "verySecretTokenOfAda" + "0123456789abcdef"
"""Made up; the tests look for it where it must not be."""


class WritableHub(HubServer):
    """`behaviour` is one of the reading server's, or for what is sent:

    read only     the token may not write
    busy          503 for what is sent
    cut upload    the connection breaks in the middle of a large file
    conflict      another commit came in between
    full          the commit is refused with a reason that repeats the token
    """

    def __init__(self) -> None:
        super().__init__()
        self.private: dict[str, bool] = {}
        self.large: dict[str, bytes] = {}
        self.commits: list[dict[str, Any]] = []
        self.sent_to: list[tuple[str, str | None]] = []

    def holds(self, repo: str) -> dict[str, bytes]:
        """The files of a repository."""
        start = f"{repo}/"
        files = self.files.items()
        return {name[len(start) :]: data for name, data in files if name.startswith(start)}

    def put(self, repo: str, **files: bytes) -> None:
        """A repository that is there already; `config_json` becomes config.json."""
        self.private[repo] = False
        for name, data in files.items():
            self.files[f"{repo}/{name.replace('_', '.')}"] = data


class _Writes(Answers):
    hub: ClassVar[WritableHub]

    def do_GET(self) -> None:  # noqa: N802
        self._route(b"")

    def do_HEAD(self) -> None:  # noqa: N802
        self._note()
        if not self._hidden(self._repo_of_file()):
            self.answer(body=False)

    def do_POST(self) -> None:  # noqa: N802
        self._route(self._body())

    def do_PUT(self) -> None:  # noqa: N802
        if self.hub.behaviour == "cut upload":
            self._note()
            self.rfile.read(1000)
            self.close_connection = True
            self.connection.close()
            return
        self._route(self._body())

    def _body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _note(self) -> None:
        self.hub.sent_to.append((unquote(self.path), self.headers.get("Authorization")))

    def _route(self, body: bytes) -> None:
        self._note()
        path = unquote(urlsplit(self.path).path)
        hub = self.hub
        if hub.behaviour in ("silent", "portal"):
            return self.answer(body=True)
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if path.startswith("/lfs/"):
            return self._keep(path.removeprefix("/lfs/"), body)
        if path.startswith("/api/models/") and self.command == "GET":
            repo = path.removeprefix("/api/models/")
            return None if self._hidden(repo) else self._describe(repo)
        if not path.startswith("/api/") and "/info/lfs/" not in path:
            return None if self._hidden(self._repo_of_file()) else self.answer(body=True)
        if not known:
            return self._json(401, {"error": "Invalid username or password."})
        if path == "/api/whoami-v2":
            return self._json(200, {"name": "ada", "type": "user"})
        if hub.behaviour == "busy":
            return self._json(503, {"error": "Service unavailable"})
        asked = body if path.endswith("/commit/main") else json.loads(body)
        if path == "/api/repos/create":
            return self._create(asked)
        if path == "/api/validate-yaml":
            return self._check_card(asked["content"])
        if path.endswith("/preupload/main"):
            return self._json(200, {"files": [_mode(file) for file in asked["files"]]})
        if path.endswith("/info/lfs/objects/batch"):
            return self._json(200, {"objects": [self._place(one) for one in asked["objects"]]})
        assert path.endswith("/commit/main"), path
        self._commit(path.removeprefix("/api/models/").removesuffix("/commit/main"), body)

    def _repo_of_file(self) -> str:
        return unquote(self.path).lstrip("/").partition("/resolve/")[0]

    def _hidden(self, repo: str) -> bool:
        """Answer as if there were no such repository, where that is what a visitor is to see."""
        known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        private = self.hub.private.get(repo)
        if private is None or (private and not known):
            headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            self.send(404 if known else 401, headers, b"", self.command != "HEAD")
            return True
        return False

    def _describe(self, repo: str) -> None:
        files = [
            {"rfilename": name, "size": len(data), "blobId": "0" * 40}
            for name, data in self.hub.holds(repo).items()
        ]
        self._json(
            200,
            {
                "_id": "1",
                "id": repo,
                "modelId": repo,
                "sha": self.hub.commit,
                "private": self.hub.private[repo],
                "siblings": files,
            },
        )

    def _create(self, asked: dict[str, Any]) -> None:
        owner = asked.get("organization") or "ada"
        repo = f"{owner}/{asked['name']}"
        if self.hub.behaviour == "read only" or owner != "ada":
            message = {"error": "You don't have the rights to create a model under this namespace"}
            return self._json(403, message)
        if repo in self.hub.private:
            return self._json(409, {"error": "exists", "url": f"{self.hub.url}/{repo}"})
        self.hub.private[repo] = asked.get("visibility") == "private"
        self.hub.files[f"{repo}/.gitattributes"] = b"*.safetensors filter=lfs\n"
        self._json(200, {"url": f"{self.hub.url}/{repo}"})

    def _check_card(self, content: str) -> None:
        _, front, _ = content.split("---\n", 2)
        assert isinstance(yaml.safe_load(front), dict)
        self._json(200, {"warnings": [], "errors": []})

    def _place(self, one: dict[str, Any]) -> dict[str, Any]:
        href = f"{self.hub.url}/lfs/{one['oid']}"
        return {**one, "actions": {"upload": {"href": href}}}

    def _keep(self, oid: str, body: bytes) -> None:
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.large[oid] = body
        self._json(200, {})

    def _commit(self, repo: str, body: bytes) -> None:
        if self.hub.behaviour == "conflict":
            return self._json(412, {"error": "A commit has happened since."})
        if self.hub.behaviour == "full":
            return self._json(402, {"error": f"No space left for {TOKEN}\nsecond line"})
        lines = [json.loads(line) for line in body.splitlines()]
        self.hub.commits.append(lines[0]["value"])
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "deletedFile":
                del self.hub.files[f"{repo}/{value['path']}"]
                continue
            large = line["key"] == "lfsFile"
            data = self.hub.large[value["oid"]] if large else base64.b64decode(value["content"])
            self.hub.files[f"{repo}/{value['path']}"] = data
        self.hub.commit = hashlib.sha1(body, usedforsecurity=False).hexdigest()
        answer = {"commitUrl": f"{self.hub.url}/{repo}/commit/1", "commitOid": self.hub.commit}
        self._json(200, answer)

    def _json(self, status: int, value: Any) -> None:
        self.send(status, {"Content-Type": "application/json"}, json.dumps(value).encode(), True)


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if file["path"].endswith(".safetensors") else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}


@contextmanager
def writable_hub() -> Iterator[WritableHub]:
    """A running stand-in that models can be sent to."""
    hub = WritableHub()
    with serving(hub, _Writes):
        yield hub


def turn_to(server: WritableHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the client, which read its environment when it was imported, ask this server."""
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WritableHub]:
    """The stand-in, and this process's client turned towards it, logged in as ada."""
    with writable_hub() as server:
        turn_to(server, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(huggingface_hub.utils._http.time, "sleep", lambda seconds: None)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield server

"""Models that were published from here come by the page's one field for the Hub, and go again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.browser import Visitor, chromium, press, served, visit, wait_for
from helpers.hub_writes import TOKEN, WritableHub, hub, writable_hub

pytest.importorskip("gradio")

from bert_demo.common.errors import UserError
from bert_demo.config import BertConfig, RunConfig, TrainingConfig
from bert_demo.data.tokenizer import SPECIAL_TOKENS, Tokenizer
from bert_demo.model import checkpoint, dropout
from bert_demo.model.bert import BertModel
from bert_demo.ui.context import AppContext
from bert_demo.ui.parts.model_menu import choices
from bert_demo.ui.serving.settings import AppSettings
from bert_demo.ui.tabs.runs import hub_models

__all__ = ["chromium", "hub", "visit"]

STRANGER = {"token": "somebody", "admin": ""}
LAYERS = 3


def put_model(server: WritableHub, repo: str, folder: Path, about: dict[str, Any]) -> BertModel:
    """A checkpoint of ours in a repository; its weights are random."""
    dropout.seed_noise(1)
    tokenizer = Tokenizer.from_words([*SPECIAL_TOKENS, "a", "crane", "is", "flying"])
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=LAYERS,
        initializer_range=0.2,
    )
    model = BertModel(config, "pretraining")
    checkpoint.save(folder, model, tokenizer, about)
    files = {path.name.replace(".", "_"): path.read_bytes() for path in folder.iterdir()}
    server.put(repo, **files)
    return model


def words_of(shown: dict[str, Any]) -> str:
    return json.dumps(shown["blocks"], ensure_ascii=False)


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppContext:
    monkeypatch.delenv("BERT_DEMO_DATA", raising=False)
    settings = AppSettings(data_dir=tmp_path / "page", checkpoints_dir=tmp_path / "none")
    return AppContext(settings)


ABOUT = {
    "run": {"corpus": "crane-world"},
    "step": 84,
    "scores": {"mlm_loss": 2.5},
    "imported": "Hugging Face",
    "source": "somebody/else",
}


def test_a_published_model_comes_as_it_is(
    hub: WritableHub, page: AppContext, tmp_path: Path
) -> None:
    model = put_model(hub, "ada/crane", tmp_path / "made", ABOUT)
    told: list[tuple[float | None, str]] = []

    def progress(share: float | None, desc: str) -> None:
        told.append((share, desc))

    shown = hub_models.fetched(page, " https://hub.example/ada/crane ", STRANGER, progress)
    assert "ada/crane is here" in shown["spoken"]
    assert "pretrained on Crane World, 84 steps" in words_of(shown)
    assert "Validation masked-LM loss 2.50." in words_of(shown)
    weights = [share for share, words in told if words.startswith("Fetching model.safetensors")]
    assert weights[-1] == 1.0
    (entry,) = page.shelf.entries()
    assert (entry.id, entry.title) == ("imported/ada--crane", "ada/crane")
    here = page.shelf.load(entry.id).model.state_dict()
    assert all(torch.equal(value, here[name]) for name, value in model.state_dict().items())
    with pytest.raises(UserError, match="here already"):
        page.imports.bring("ada/crane")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "bert_demo 99"}, "checkpoint of another version"),
        ({"format": "other", "model_type": "gpt2"}, "GPT-2"),
        ({"about": 3}, "'about' is missing or wrong"),
        ({"task": "nli"}, "^ada/crane/model.safetensors does not belong to the files beside it"),
    ],
)
def test_what_cannot_be_read_gets_a_sentence_and_leaves_nothing(
    hub: WritableHub, page: AppContext, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    put_model(hub, "ada/crane", tmp_path / "made", {})
    config = json.loads(hub.files["ada/crane/config.json"]) | change
    hub.files["ada/crane/config.json"] = json.dumps(config).encode()
    with pytest.raises(UserError, match=words) as caught:
        page.imports.bring("ada/crane")
    assert "\n" not in str(caught.value) and TOKEN not in str(caught.value)
    assert page.shelf.entries() == []
    with pytest.raises(UserError, match="ada/nothing"):
        page.imports.bring("ada/nothing")


def test_odd_facts_about_a_model_do_not_break_the_menus(
    hub: WritableHub, page: AppContext, tmp_path: Path
) -> None:
    odd = {"run": {"corpus": []}, "step": "x", "scores": [], "untrained_heads": {}, "source": 3}
    put_model(hub, "ada/odd", tmp_path / "made", odd)
    page.imports.bring("ada/odd")
    assert choices(page.shelf.entries()) == [("ada/odd (pretrained, 0.0 M)", "imported/ada--odd")]
    assert "ada/odd: pretrained." in words_of(hub_models.listing(page))


def test_a_fetched_model_is_deleted_and_runs_keep_theirs(
    hub: WritableHub, page: AppContext, tmp_path: Path
) -> None:
    put_model(hub, "ada/crane", tmp_path / "made", {})
    page.imports.bring("ada/crane")
    folder = page.shelf.folder("imported/ada--crane")
    start = RunConfig(task="nli", start_from=str(folder), training=TrainingConfig(steps=1))
    run = page.store.create(start, "somebody", "judge")
    page.store.create(replace(start, start_from=str(tmp_path)), "somebody", "other")
    for state in ("queued", "running", "paused"):
        page.store.set_status(run.id, state=state)
        with pytest.raises(UserError, match=r"'judge' still needs ada/crane; delete it when"):
            hub_models.deleted(page, "imported/ada--crane", STRANGER)
    page.store.set_status(run.id, state="completed")
    shown = hub_models.deleted(page, "imported/ada--crane", STRANGER)
    assert shown["spoken"] == (
        "ada/crane is deleted. What began with it keeps a model of its own: judge."
    )
    assert page.shelf.entries() == [] and list(page.imports.folder.iterdir()) == []
    assert [run.title for run in page.store.list()] != []
    page.imports.bring("ada/crane")
    assert len(page.shelf.entries()) == 1


@pytest.mark.parametrize("model", ["imported/none", "imported/..", "imported/../x", 3, "x", "", []])
def test_only_what_is_there_is_deleted(page: AppContext, model: Any) -> None:
    page.imports.folder.mkdir(parents=True)
    with pytest.raises(UserError, match=r"choose one from the list"):
        hub_models.deleted(page, model, STRANGER)
    for name in ("..", ".", "", "a/b", "none"):
        with pytest.raises(UserError, match="no fetched model"):
            page.imports.remove(name)
    assert "No model" in words_of(hub_models.deleted(page, None, STRANGER))


def test_models_that_come_along_and_runs_are_not_deleted_here(tmp_path: Path) -> None:
    with writable_hub() as server:
        put_model(server, "ada/crane", tmp_path / "bundled/crane", {})
    put_model(server, "ada/crane", tmp_path / "runs/mine", {})
    context = AppContext(AppSettings(data_dir=tmp_path, checkpoints_dir=tmp_path / "bundled"))
    for model in ("bundled/crane", "run/mine"):
        with pytest.raises(UserError, match="was not fetched"):
            hub_models.deleted(context, model, STRANGER)
    assert len(context.shelf.entries()) == 2


def test_on_a_public_page_only_the_teacher_deletes(tmp_path: Path) -> None:
    context = AppContext(AppSettings(data_dir=tmp_path, host="0.0.0.0"))
    for browser in (STRANGER, None):
        with pytest.raises(UserError, match="only the teacher"):
            hub_models.deleted(context, "imported/x", browser)
    teacher = {"token": "x", "admin": context.admin_token}
    with pytest.raises(UserError, match="no model 'imported/x'"):
        hub_models.deleted(context, "imported/x", teacher)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page that has no model, beside a Hub that has one of ours."""
    folder = tmp_path_factory.mktemp("page")
    with writable_hub() as server, pytest.MonkeyPatch.context() as patch:
        put_model(server, "ada/crane", tmp_path_factory.mktemp("made") / "crane", ABOUT)
        patch.setenv("HF_ENDPOINT", server.url)
        patch.setenv("HF_HOME", str(folder / "hf"))
        for name in ("BERT_DEMO_DATA", "HF_TOKEN", "HF_HUB_CACHE", "HF_HUB_OFFLINE"):
            patch.delenv(name, raising=False)
        with served(folder) as url:
            yield url


def test_a_model_comes_and_goes_in_the_page(visit: Callable[..., Visitor], address: str) -> None:
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    page = visit().open(address)
    words_tab = page.get_by_role("tab", name="2 Its words")
    words_tab.click()
    no_model = page.get_by_text(re.compile("^There is no model here yet")).locator("visible=true")
    no_model.wait_for()

    page.get_by_role("tab", name="Runs").click()
    page.get_by_text("Models from the Hugging Face Hub").click()
    field = page.get_by_label("Model on the Hub")
    field.fill("ada/crane")
    press(page, "Fetch")
    told = "document.querySelector('#hub-models .bv-spoken').textContent"
    wait_for(page, f"{told}.startsWith('ada/crane is here')")

    words_tab.click()
    slider = page.get_by_role("slider", name="Layer")
    slider.wait_for()
    wait_for(page, "document.querySelector('#words-result .bv-heading')")
    assert slider.get_attribute("max") == str(LAYERS)
    page.get_by_text(f"layer {LAYERS} of {LAYERS}").first.wait_for()

    page.get_by_role("tab", name="Runs").click()
    page.once("dialog", lambda dialog: dialog.dismiss())
    press(page, "Delete this model")
    page.get_by_text(re.compile("^ada/crane: pretrained on Crane World")).wait_for()
    page.once("dialog", lambda dialog: dialog.accept())
    press(page, "Delete this model")
    wait_for(page, f"{told} === 'ada/crane is deleted.'")
    page.get_by_role("button", name="Delete this model").wait_for(state="hidden")
    words_tab.click()
    no_model.wait_for()

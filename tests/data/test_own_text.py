"""People's own texts: read in any form, cut into sentences, parts held out that share nothing."""

from __future__ import annotations

import itertools
import json
import random
import textwrap
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig
from bert_demo.data import own, plain_text
from bert_demo.data.corpora import corpus_spec
from bert_demo.data.encodings import encoding_of
from bert_demo.data.own_report import text_report
from bert_demo.data.own_text import take_text
from bert_demo.data.plain_text import lines_of
from bert_demo.data.prepare import prepare_text
from bert_demo.data.sentences import even_paragraphs, paragraphs, split_sentences
from bert_demo.data.tables import NoColumn
from bert_demo.data.whereabouts import whereabouts
from bert_demo.data.wikitext import read_own

WORDS = ("der", "kräftige", "Hund", "café", "naïve", "bridge", "river", "seven", "über", "große")


def story(paragraphs: int = 60, seed: int = 0, sentences: int = 4) -> list[str]:
    """Paragraphs of sentences that say nothing, all different."""
    draw = random.Random(seed)
    return [
        " ".join(
            " ".join(draw.choices(WORDS, k=8)).capitalize() + f" {seed}x{number}x{i}."
            for i in range(sentences)
        )
        for number in range(paragraphs)
    ]


def parts(name: str) -> dict[str, list[tuple[str, ...]]]:
    """The paragraphs of each part of a text."""
    found = {}
    for split in ("train", "validation", "test"):
        text = read_own(own.file_of(name, split))
        sentences = text.sentences.to_pylist()
        found[split] = [
            tuple(sentences[a:b]) for a, b in itertools.pairwise(text.paragraph_offsets)
        ]
    return found


@pytest.mark.parametrize(
    "sentences",
    [
        [
            "Dr. Smith met J. R. R. Tolkien.",
            "“Go!” he said.",
            "It was 3.5 km, e.g. by car…",
            "Yes.",
        ],
        ["Am 3. Oktober kam z.B. Herr Dr. Meier.", "„Na so was!“", "Dann ging er über die Brücke."],
        ["Il a dit : « Bonjour ! »", "M. Dupont dormait déjà.", "C'est fini !", "Où va-t-il ?"],
        ["¿Qué pasa?", "¡Nada!", "El Sr. López duerme.", "(Hace frío.)", "Muy bien."],
        ["Он пришёл в 10 часов утра.", "Она ушла!", "Почему?", "«Я тут.»", "Да."],
        ["the crane flew .", "it landed .", "no capitals here !"],
        ["यह एक वाक्य है।", "यह दूसरा है।"],
    ],
)
def test_sentences_end_where_a_reader_says_so(sentences: list[str]) -> None:
    assert split_sentences(" ".join(sentences)) == sentences


def test_a_paragraph_is_what_empty_lines_or_long_lines_say() -> None:
    wrapped = ["One line", "goes on.", "", " ", "Next", "here."]
    assert [*paragraphs(wrapped)] == ["One line goes on.", "Next here."]
    long = ["word " * 50, "another " * 40]
    assert [*paragraphs(long)] == [" ".join(line.split()) for line in long]
    assert [*paragraphs([])] == [*paragraphs(["", "  "])] == []
    endless = (f"This is line {n}. It" for n in range(50_000))
    found = [*paragraphs(endless)]
    assert max(map(len, found)) < 25_000 and " ".join(found).count("This is line") == 50_000
    assert all(one.endswith(".") for one in found[:-1])


def test_long_paragraphs_are_cut_alike_wherever_they_begin() -> None:
    sentences = [f"sentence {n} ." for n in range(200)]
    whole, later = ([*even_paragraphs([sentences[at:]])] for at in (0, 3))
    assert [*itertools.chain.from_iterable(whole)] == sentences
    assert max(map(len, whole)) <= 24
    assert len({*map(tuple, later)} & {*map(tuple, whole)}) >= len(whole) - 3
    alone = [*even_paragraphs([one] for one in sentences)]
    assert alone == whole


def test_every_encoding_gives_the_same_parts(tmp_path: Path) -> None:
    text = "\n\n".join(story())
    kept = []
    for number, (encoding, end) in enumerate(
        itertools.product(("utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"), ("\n", "\r\n"))
    ):
        path = tmp_path / f"{number}.TXT"
        path.write_bytes(text.replace("\n", end).encode(encoding))
        kept.append(parts(take_text(path)))
    path.write_bytes(text.replace("\n", "\r").encode())  # as old Macs had it
    kept.append(parts(take_text(path)))
    assert all(one == kept[0] for one in kept)
    assert "café" in str(kept[0]) and "über" in str(kept[0])


def test_parts_share_no_paragraph_and_lose_none(tmp_path: Path) -> None:
    told = story(200)
    # A second copy, in short lines, and some of it three times.
    (tmp_path / "a.txt").write_text("\n\n".join([*told, *told[:50]]), encoding="utf-8")
    short = "\n \n".join(textwrap.fill(one, 70) for one in told)
    (tmp_path / "b.txt").write_text(short, encoding="utf-8")
    found = parts(name := take_text(tmp_path))
    sets = {split: {*paragraphs} for split, paragraphs in found.items()}
    for one, other in itertools.combinations(sets.values(), 2):
        assert not one & other
        assert not {*itertools.chain(*one)} & {*itertools.chain(*other)}  # nor a sentence
    assert sum(map(len, sets.values())) == 200
    assert sum(map(len, found.values())) == 450
    assert [len(sets[split]) for split in ("validation", "test")] == [10, 10]
    assert text_report(name).repeated_share == 0


def test_one_text_has_one_name_and_is_gone_once_forgotten(tmp_path: Path) -> None:
    path, copy = tmp_path / "My, “text”.txt", tmp_path / "again.txt"
    for one in (path, copy):
        one.write_text("\n\n".join(story(seed=5)), encoding="utf-8")
    name = take_text(path)
    assert take_text(str(path)) == name != take_text(copy)
    assert name.startswith("own:My-text-") and name[-16:] == take_text(copy)[-16:]
    assert corpus_spec(name).title == "My-text" and whereabouts(name).here
    assert RunConfig(corpus=name).corpus == name
    with pytest.raises(UserError, match="for nli it must be one of"):
        RunConfig("nli", name, start_from="x")
    text, _, report = prepare_text(name)
    assert len(text) > 100 and report.sentence().startswith("My-text, train (one's own): ")
    own.forget(name)
    assert not own.is_here(name) and own.is_here(take_text(copy))
    for asked in (lambda: whereabouts(name), lambda: prepare_text(name)):
        with pytest.raises(UserError, match=r"^The text My-text is not in this computer's cache"):
            asked()
    for wrong in ("own:../../etc-0123456789abcdef", "own:x", "own:x-0123456789ABCDEF"):
        with pytest.raises(UserError, match="corpus is"):
            RunConfig(corpus=wrong)


def test_tables_and_marked_text_are_read(tmp_path: Path) -> None:
    rows = story()
    table = {"id": [*range(len(rows))], "Body": rows, "text": [f"{row} Second." for row in rows]}
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    objects = [{"Body": row, "text": f"{row} Second."} for row in rows]
    files = {
        "b.jsonl": "\n".join(map(json.dumps, objects)),
        "c.json": json.dumps(objects),
        "d.csv": 'Body,n,text\n"quoted ""x"" here",0,\n'
        + "\n".join(f'"{r}",1,"{r} Second."' for r in rows),
        "e.tsv": "Body\ttext\n" + "\n".join(f"{r}\t{r} Second." for r in rows),
        "f.csv": "Body;text\r\n" + "\r\n".join(f"{r};{r} Second." for r in rows),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content, encoding="utf-8")
    kept = [parts(take_text(tmp_path / one)) for one in ("a.parquet", *files)]
    assert all(one == kept[0] for one in kept)
    assert str(kept[0]).count("'second .'") == 60
    body = parts(take_text(tmp_path / "b.jsonl", "body"))
    assert "second" not in str(body) and len(body["train"]) == len(kept[0]["train"])
    with pytest.raises(NoColumn, match=r"has no column 'story'; .* the text: Body, text") as caught:
        take_text(tmp_path / "e.tsv", "story")
    assert [*caught.value.columns] == ["Body", "text"]

    marked = "---\ntitle: x\n---\n# The [title](http://a.b)\n```\ncode()\n```\n\n" + "\n\n".join(
        f"- **{r}**" for r in rows
    )
    (tmp_path / "g.md").write_text(marked, encoding="utf-8")
    found = str(parts(take_text(tmp_path / "g.md")))
    assert "the title" in found and not any(x in found for x in ("code", "*", "http", "title :"))

    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "empty.txt").touch()
    (folder / "photo.png").write_bytes(b"\x89PNG")
    for number in (1, 2):
        text = "\n\n".join(story(seed=number))
        (folder / "deep" / f"{number}.txt").write_text(text, encoding="utf-8")
    name = take_text(folder)
    assert name.startswith("own:folder-") and own.meta_of(name)["paragraphs"] == 120  # type: ignore[index]
    assert parts(name) == parts(take_text([folder / "deep" / f"{n}.txt" for n in (1, 2)]))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.txt", b"", "is empty"),
        ("a.txt", b"\xef\xbb\xbf \r\n\n", "is empty"),
        (
            "a.txt",
            b"PK\x03\x04" + bytes(50),
            "seems to be Word, EPUB or zip; save it as text first",
        ),
        ("a.txt", bytes(range(256)) * 20, "it has bytes that no letters have"),
        ("a.txt", b"text \x81\x9d and \xff more", "it has bytes that no letters have"),
        ("a.txt", "Старый мост закрыт. Почему?\n\n".encode("cp1251") * 99, "another encoding than"),
        ("a.txt", "河上的旧桥已经关闭。".encode("gbk") * 99, "another encoding than UTF-8"),
        ("a.docx", b"text", "must end in one of .txt, .md"),
        ("a.txt", b"One sentence. Two of them.", "has too little text: 1 different paragraphs"),
        ("a.txt", b"The cat sat. The dog ran.\n\n" * 900, "has too little text: 1 different"),
        ("a.jsonl", b'{"text": "x"}\nnot json', "line 2: it is not JSON: 'not json'"),
        ("a.jsonl", b'{"text": "' + b"x" * 1000, "line 1: it has more than 0 MB; put each text"),
        ("a.jsonl", b"[1, 2]\n", "row 1: '[1, 2]'; it must be an object or a text"),
        ("a.parquet", b"PAR1 no", "cannot be read"),
        ("a.csv", b'text,n\n"open', "cannot be read"),
    ],
)
def test_what_is_no_text_gets_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, words: str
) -> None:
    monkeypatch.setattr(plain_text, "_MOST_JSON_BYTES", 1000)
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        take_text(path)
    assert words in str(caught.value)
    with pytest.raises(UserError, match="There is no file"):
        take_text(tmp_path / "none.txt")


def test_one_endless_line_is_read_in_pieces(tmp_path: Path) -> None:
    line = " ".join(story(400))
    path = tmp_path / "line.txt"
    path.write_text(line, encoding="utf-8")
    encoding, _ = encoding_of(path)
    pieces = [*lines_of(path, encoding)]
    assert max(map(len, pieces)) <= 20_000 and "".join(pieces) == line
    found = parts(take_text(path))
    assert sum(len(one) for split in found.values() for one in split) == 1600
    path.write_text("x" * 300_000 + "\n" + line, encoding="utf-8")
    longest = max(len(w) for p in parts(take_text(path))["train"] for s in p for w in s.split())
    assert longest == 50


def test_a_small_text_is_reported_as_learnt_by_heart(tmp_path: Path) -> None:
    path = tmp_path / "small.txt"
    path.write_text("\n\n".join(story(180))[:50_000] + "\n\nA bank. The bank.", encoding="utf-8")
    name = take_text(path)
    report = text_report(name)
    assert report.too_little
    assert report.remarks[0].startswith("Too little text: it will be learnt by heart")
    text, tokenizer, _ = prepare_text(name)
    held_out, _, _ = prepare_text(name, "validation", tokenizer=tokenizer)
    assert report.tokens == len(text.token_ids) and report.vocab_size == tokenizer.vocab_size
    unknown = (held_out.token_ids == tokenizer.unk_id).mean()
    assert report.unknown_share == pytest.approx(unknown)
    train = " ".join(s for p in parts(name)["train"] for s in p).split()
    for word, count in report.commonest:
        assert train.count(word) == count
    assert report.commonest[0][1] >= report.commonest[-1][1] and report.probes["crane"] == 0
    assert "; " not in report.remarks[0] and report.lines[0][0] == "Text"

    # Enough text for one budget is too little for another.
    big = tmp_path / "big.txt"
    big.write_text("\n\n".join(story(3000)), encoding="utf-8")
    name = take_text(big)
    assert not text_report(name).too_little and not text_report(name, 20).too_little
    assert "goes over it 21 times" in text_report(name, 21).remarks[0]


def test_a_data_set_of_the_hub_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = tmp_path / "datasets/ada/tales"
    (repo / "en").mkdir(parents=True)
    monkeypatch.setenv("BERT_DEMO_DATA", str(tmp_path))
    for split, seed in (("train", 1), ("test", 2)):
        told = story(seed=seed)
        table = pa.table({"id": [*range(len(told))], "story": told})
        pq.write_table(table, repo / f"en/{split}-00000-of-00001.parquet")
    (repo / "README.md").write_text("# About", encoding="utf-8")
    with pytest.raises(NoColumn, match=r"the column with the text: id, story\.$"):
        take_text("hub:ada/tales")
    name = take_text("hub:ada/tales", "story")
    assert name.startswith("own:tales-") and take_text("hub:ada/tales/en", "story") == name
    told = str(parts(name))
    assert " 1x0x0" in told and " 2x0x0" not in told  # what is its test stays out of it
    assert own.meta_of(name)["source"] == "hub:ada/tales"  # type: ignore[index]
    (repo / "de").mkdir()
    pq.write_table(table, repo / "de/train.parquet")
    with pytest.raises(UserError, match=r"several folders; .* hub:ada/tales/de: de, en"):
        take_text("hub:ada/tales", "story")
    with pytest.raises(UserError, match="has no file that ends in"):
        take_text("hub:ada/tales/fr", "story")
    with pytest.raises(UserError, match="must look like"):
        take_text("hub:ada", "story")

"""Pairs of logic: right, balanced, always the same, and nothing that a judge is scored on."""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from bert_demo.common.errors import UserError
from bert_demo.config import RunConfig
from bert_demo.data.crane_world import reader
from bert_demo.data.crane_world.grammar import Dice, participle, plural
from bert_demo.data.logic.captions import caption_pairs
from bert_demo.data.logic.mixed import with_logic
from bert_demo.data.logic.pairs import FOLDER, is_scored, logic_groups, logic_pairs
from bert_demo.data.logic.worded import worded
from bert_demo.data.prepare import prepare_nli, prepare_text, tokenize_nli
from bert_demo.data.snli import NliTexts, pairs, read_pairs_file
from bert_demo.data.traps.pairs import trap_pairs
from bert_demo.ui.tabs.nli_examples import EXAMPLES

BY_HAND = Path(__file__).parent / "logic.tsv"
TRAPS_BY_HAND = Path(__file__).parents[1] / "inference/traps.tsv"
COUNT = 20_000
SOMEBODY, DOING, WORD = r"(?:the |my |our )?\w+", r"\w+ing(?: (?:the |a )?\w+)?", r"[\w-]+"
SLOTS = {
    **dict.fromkeys(("A", "B", "C", "D", "P", "Q", "X", "Y", "Z", "O", "K"), SOMEBODY),
    **dict.fromkeys(("As", "Bs"), r"(?:the|my|our|these) \w+"),
    **dict.fromkeys(("doing", "undoing"), DOING),
    **dict.fromkeys(("place", "spot"), r"in the \w+"),
    **dict.fromkeys(("left", "right"), "in front of|behind"),
    "game": r"at \w+",
    "scene": r"(?:near|on|under|by|next to) [\w ]+",
    "trait": "famous|married",
}


@pytest.fixture(scope="module")
def texts() -> NliTexts:
    return logic_pairs(COUNT)


def rows(texts: NliTexts) -> list[tuple[str, str, str, int]]:
    assert texts.kinds is not None
    columns = texts.premises.to_pylist(), texts.hypotheses.to_pylist(), texts.labels.tolist()
    return list(zip(texts.kinds, *columns, strict=True))


def spelt(sentence: str) -> str:
    return sentence.lower().strip().removesuffix(".").strip()


def test_as_many_as_asked_for_of_each_kind_and_label(texts: NliTexts) -> None:
    assert [len(logic_pairs(count)) for count in (0, 1, 100)] == [0, 1, 100]
    counts = Counter((kind, label) for kind, _, _, label in rows(texts))
    assert len(texts) == COUNT == len({row[1:3] for row in rows(texts)})
    assert len(counts) == 3 * len(logic_groups())
    assert max(counts.values()) - min(counts.values()) <= 1


def test_they_are_the_same_everywhere(texts: NliTexts) -> None:
    digest = hashlib.sha256(repr(rows(texts)).encode()).hexdigest()
    assert digest[:16] == "19cf68d760d83307"
    assert rows(logic_pairs(500)) == rows(texts)[:500] != rows(logic_pairs(500, seed=1))


def test_each_kind_has_many_wordings_of_each_label() -> None:
    for kind, groups in logic_groups().items():
        for label in range(3):
            assert sum(len(premises[label]) for _, premises in groups) >= 12, (kind, label)


def test_sentences_are_whole(texts: NliTexts) -> None:
    for _, *sentences, _ in rows(texts):
        for sentence in sentences:
            assert re.fullmatch(r"[A-Z0-9][A-Za-z0-9 ,'-]+\.", sentence), sentence
            wrong = r"\ba [aeio]|\ban (?!hour)[^aeiou]| ,|  |,,|\b(the|a|an) (the|a|an|my)\b"
            assert not re.search(wrong, sentence), sentence


def test_nothing_that_a_judge_is_scored_on(texts: NliTexts) -> None:
    ours = {spelt(sentence) for row in rows(texts) for sentence in row[1:3]}
    for scored in (trap_pairs(), read_pairs_file(TRAPS_BY_HAND)):
        theirs = {*scored.premises.to_pylist(), *scored.hypotheses.to_pylist()}
        assert not ours & set(map(spelt, theirs))
    for examples in EXAMPLES.values():
        for one in examples:
            assert one.premise not in ours and one.hypothesis not in ours
    lists = reader.read("traps.txt", FOLDER.parent / "traps")["words"]
    words = {word for text in ours for word in re.findall(r"[\w-]+", text)}
    for name in lists.keys() - {"numbers"}:
        for entry in lists[name]:
            for word in reader.split(entry):
                assert word not in words and plural(word) not in words, word


def test_no_template_is_one_of_the_traps(texts: NliTexts) -> None:
    """With numbers for the words of the lists, no pair is one of the traps."""

    def skeletons(texts: NliTexts, lists: Iterable[tuple[str, ...]]) -> set[str]:
        content = {word for entries in lists for entry in entries for word in reader.split(entry)}
        content |= {plural(word) for word in content}
        found = set()
        for row in rows(texts):
            words = re.findall(r"[\w'-]+|,|\|", " | ".join(map(spelt, row[1:3])))
            slots = dict.fromkeys(word for word in words if word in content)
            numbers = {word: f"_{number}" for number, word in enumerate(slots)}
            found.add(" ".join(numbers.get(word, word) for word in words))
        return found

    theirs = reader.read("traps.txt", FOLDER.parent / "traps")["words"]
    lists = reader.read("logic.txt", FOLDER)["words"]
    ours = [lists[name] for name in ("people", "sexes", "things", "halls", "colours", "numbers")]
    regular = [tuple(map(participle, lists["deeds"]))]
    shared = skeletons(trap_pairs(), theirs.values()) & skeletons(texts, [*ours, *regular])
    assert not shared, shared
    assert is_scored("The boxer hugged the vet.", "The vet was hugged by the boxer.")
    assert not is_scored("The boxer hugged the vet.", "The boxer was hugged by the vet and me.")


def test_the_hypothesis_alone_does_not_give_the_label_away(texts: NliTexts) -> None:
    by_kind: dict[str, list[tuple[str, str, int]]] = defaultdict(list)
    for kind, *pair, label in rows(texts):
        by_kind[kind].append((pair[0], pair[1], label))
    denials = re.compile(r"\b(not|no|nobody|none|never|neither|without)\b|n't\b")
    for kind, found in by_kind.items():
        # The label that is the more frequent with a denial, or without, learnt on one half.
        half = len(found) // 2
        seen: dict[bool, Counter[int]] = defaultdict(Counter)
        for _, hypothesis, label in found[:half]:
            seen[bool(denials.search(hypothesis))][label] += 1
        right = [
            seen[bool(denials.search(hypothesis))].most_common(1)[0][0] == label
            for _, hypothesis, label in found[half:]
        ]
        assert np.mean(right) < 0.4, kind
        # Nor do shared words: the share of the hypothesis' words that the premise has.
        shared = np.array(
            [
                np.mean([word in premise.lower() for word in spelt(hypothesis).split()])
                for premise, hypothesis, _ in found
            ]
        )
        labels = np.array([label for *_, label in found])
        if kind != "plain":
            assert np.mean(labels[shared >= np.median(shared)] == 0) < 0.5, kind


def test_labels_by_hand() -> None:
    """Pairs that a person has judged, each of a template, and of none that says otherwise."""
    judged = read_pairs_file(BY_HAND)

    def pattern(template: str) -> re.Pattern[str]:
        text = re.escape(template.replace(" ,", ",")).replace(r"\ ", " ")
        text = re.sub(r"\\\[(.*?)\\\]", lambda m: f"(?:{m[1].replace('/', '|')})", text)
        text = re.sub(r"\ba ", "an? ", text)
        known: set[str] = set()

        def slot(match: re.Match[str]) -> str:
            if match[1] in known:
                return f"(?P={match[1]})"
            known.add(match[1])
            return f"(?P<{match[1]}>{SLOTS.get(match[1], WORD)})"

        return re.compile(re.sub(r"\\\{(\w+)\\\}", slot, text), re.IGNORECASE)

    groups = logic_groups()
    for kind, premise, hypothesis, label in rows(judged):
        pair = f"{premise[:-1]} | {hypothesis[:-1]}".lower()
        found = set()
        for wording, premises in groups[kind]:
            for one, entries in enumerate(premises):
                for entry in entries:
                    match = pattern(f"{entry} | {wording}").fullmatch(pair)
                    if match is not None and len({*match.groups()}) == len(match.groups()):
                        found.add(one)
        assert found == {label}, (premise, hypothesis, found)


def test_numbers_by_arithmetic(texts: NliTexts) -> None:
    """A judge of its own for counts, which reads sentences and no templates."""
    words = "one two three four five six seven eight nine ten eleven twelve"
    value = {word: n for n, word in enumerate(words.split(), 1)}
    value |= {"fifteen": 15, "twenty": 20, "thirty": 30, "fifty": 50}
    value |= {str(n): n for n in value.values()}
    said = re.compile(
        r"(at least|at most|more than|no more than|fewer than|less than|no fewer than|exactly|only"
        r"|just)? ?(\w+) (or more )?(\w+)( or more)? (?:is|are) (.*)"
    )

    def counted(text: str) -> tuple[set[int], str, str] | None:
        match = said.fullmatch(spelt(text))
        if match is None or match[2] not in value or " and " in match[6] or "while" in match[6]:
            return None
        n, least = value[match[2]], bool(match[3] or match[5])
        most = {
            "at least": range(n, 99),
            "no fewer than": range(n, 99),
            "more than": range(n + 1, 99),
            "at most": range(n + 1),
            "no more than": range(n + 1),
            "fewer than": range(n),
            "less than": range(n),
        }.get(match[1], range(n, 99 if least else n + 1))
        return set(most), match[4], match[6]

    seen: Counter[int] = Counter()
    for kind, premise, hypothesis, label in rows(texts):
        given, asked = counted(premise), counted(hypothesis)
        if kind != "numbers" or given is None or asked is None or given[1] != asked[1]:
            continue
        if not given[2].startswith(asked[2]):  # said of something else
            continue
        one, other = given[0], asked[0]
        assert label == (0 if one <= other else 1 if one & other else 2), (premise, hypothesis)
        seen[label] += 1
    assert min(seen[label] for label in range(3)) > 50


@pytest.mark.parametrize("taught", [False, True])
def test_they_stand_behind_the_corpus_with_their_own_labels(taught: bool) -> None:
    _, tokenizer, _ = prepare_text("crane-world")
    data, report = prepare_nli("crane-world", "validation", tokenizer)
    if taught:
        targets = np.random.default_rng(0).dirichlet(np.ones(3), len(data)).astype(np.float32)
        data = type(data)(**{**vars(data), "targets": targets})
    both, told = with_logic((data, report), 300, tokenizer)
    own = tokenize_nli(logic_pairs(300), tokenizer)
    known = len(data)
    assert len(both) == known + 300 and told.counts["logic_pairs"] == 300
    assert f"{known + 300:,} pairs, 300 of them of logic, " in told.sentence()
    assert (both.labels[:known] == data.labels).all() and (both.labels[known:] == own.labels).all()
    for row in (0, 150, 299):
        begin, end = both.hypothesis_offsets[known + row : known + row + 2]
        first, last = own.hypothesis_offsets[row : row + 2]
        assert (both.hypothesis_ids[begin:end] == own.hypothesis_ids[first:last]).all()
    if not taught:
        assert both.targets is None
        return
    assert both.targets is not None and (both.targets[:known] == data.targets).all()
    softened = np.array([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]])
    assert both.targets[known:] == pytest.approx(softened[own.labels])


@pytest.mark.parametrize("name", ["logic_pairs", "edited_pairs"])
def test_they_are_for_fine_tuning(name: str) -> None:
    with pytest.raises(UserError, match="Only fine-tuning has pairs of logic"):
        RunConfig(**{name: 5})


def captions() -> NliTexts:
    """What the rules find something in, by hand, and two that say what is scored or denied."""
    follows, neither, against = range(3)
    return pairs(
        [
            (
                "A man in a blue coat is talking to a woman in a red hat.",
                "Two people talk.",
                follows,
            ),
            ("Two men are digging near a lake.", "The men are digging.", follows),
            ("A boy is asleep.", "A boy is running in a field.", against),
            ("A boy is here.", "A boy is whistling.", neither),
            ("A man is playing a guitar.", "A dog is not barking.", neither),
        ]
    )


def test_captions_are_denied_counted_swapped_and_coloured_anew() -> None:
    made = caption_pairs(captions(), 500)
    found = {(p.lower().rstrip("."), h.lower().rstrip("."), label) for _, p, h, label in rows(made)}
    found = {(p.replace("n't", " not"), h.replace("n't", " not"), n) for p, h, n in found}
    for expected in (
        ("the men are not digging", "the men are digging", 2),
        ("two men are not digging", "two men are not digging near a lake", 0),
        ("two men are not digging near a lake", "two men are not digging", 1),
        ("nobody is digging", "the men are digging", 2),
        ("two men are digging near a lake", "the men are not digging", 2),
        ("a boy is asleep", "a boy is not running in a field", 0),
        ("a boy is here", "a boy is not whistling", 1),
        ("all of the men are digging", "some of the men are digging", 0),
        ("some of the men are digging", "all of the men are digging", 1),
    ):
        assert expected in found, expected
    coats = [h for p, h, _ in found if p.startswith("a man in a blue coat") and "wears" in h]
    assert set(coats) <= {
        *("the man wears a blue coat", "the woman wears a red hat"),
        *("the man wears a red coat", "the woman wears a blue hat"),
    }
    counted = [(p, h, n) for p, h, n in found if p.startswith("exactly two men")]
    assert counted and all(n == 2 for _, h, n in counted if h.startswith("more than"))
    assert not any("guitar" in p or "bark" in p for p, _, _ in found)


def test_caption_pairs_are_balanced_and_always_the_same() -> None:
    made = caption_pairs(captions(), 200)
    assert len(made) == 200 and rows(made) == rows(caption_pairs(captions(), 200))
    assert made.kinds is not None
    swapped = Counter(
        label for kind, label in zip(made.kinds, made.labels, strict=True) if kind == "swapped"
    )
    assert len(swapped) == 3 and max(swapped.values()) - min(swapped.values()) <= 1
    assert not any(is_scored(premise, hypothesis) for _, premise, hypothesis, _ in rows(made))


def test_what_is_said_with_words_of_captions_has_one_label_each() -> None:
    words = reader.read("captions.txt", FOLDER)["words"] | {
        "people": ("man", "boy", "cat"),
        "done": ("hugged",),
        "times": ("today",),
        "paints": ("red", "blue"),
        "relations": ("is above",),
        "clothing": ("hat", "coat"),
    }
    dice, labels = Dice(0), {}
    for _ in range(300):
        for _, premise, hypothesis, label in worded(dice, words, ["vase", "lamp"]):
            assert labels.setdefault((premise, hypothesis), label) == label, (premise, hypothesis)
    for premise, hypothesis, label in (
        ("the vase was red while the lamp was blue", "the lamp was blue", 0),
        ("the vase was red while the lamp was blue", "the lamp was not red", 0),
        ("the vase was red while the lamp was blue", "the lamp was red", 2),
        ("there is a lamp and a red vase", "the lamp is red", 1),
        ("the man owns neither a vase nor a lamp", "the man owns a lamp", 2),
        ("the man owns no red vase", "the man owns no vase", 1),
        ("the man hugged the boy today", "the boy was hugged by the man", 0),
        ("the man hugged the boy today", "the boy hugged the man", 1),
        ("nobody hugged the boy today", "the boy was hugged by the man today", 2),
        ("the man is above the boy", "the boy is above the man", 2),
    ):
        assert labels[premise, hypothesis] == label, (premise, hypothesis)


def test_no_word_of_the_lists_is_one_of_the_traps() -> None:
    ours = reader.read("captions.txt", FOLDER)["words"]
    theirs = reader.read("traps.txt", FOLDER.parent / "traps")["words"]
    scored = {word for name in theirs if name != "numbers" for word in theirs[name]}
    single = {part for word in scored for part in re.findall(r"[\w'-]+", word)}
    mine = {name: {part for word in ours[name] for part in word.split()} for name in ours}
    said = set().union(*(mine[name] for name in ours if name not in ("numbers", "relations")))
    assert not said & single

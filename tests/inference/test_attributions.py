"""Why a verdict: by gradients along a path and by leaving words out, against plain calculations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import captum.attr
import pytest
import torch
from torch import Tensor

import bert_demo
from bert_demo.common.errors import UserError
from bert_demo.config import LABELS
from bert_demo.data.packing import pack
from bert_demo.inference.attributions import attribute
from bert_demo.inference.integrated_gradients import integrated_gradients, refined_gradients
from bert_demo.inference.predict import classify, classify_all

JUDGE = Path(__file__).resolve().parents[2] / "checkpoints/bert-small-snli"
PAIR = "the children are not eating", "the children are eating"


@pytest.fixture(scope="module")
def judge() -> Any:
    return bert_demo.load(JUDGE)[:2]


def test_those_of_a_linear_model_are_exact() -> None:
    torch.manual_seed(0)
    weight, inputs, baseline = torch.randn(3, 5, 4, dtype=torch.float64)
    for steps, at_once in ((1, 1), (7, 3), (32, 32)):
        found = integrated_gradients(
            lambda x: (x * weight).sum((1, 2)), inputs, baseline, steps, at_once
        )
        torch.testing.assert_close(found, weight * (inputs - baseline))


def test_a_product_is_shared_as_worked_out_by_hand() -> None:
    # f(x, y) = x^2 y from (0, 0) to (2, 3): the shares of its 12 are 2/3 and 1/3.
    found = integrated_gradients(
        lambda x: x[:, 0] ** 2 * x[:, 1], torch.tensor([2.0, 3.0]), torch.zeros(2)
    )
    torch.testing.assert_close(found, torch.tensor([8.0, 4.0]))


def test_points_gather_where_the_function_bends() -> None:
    # A step from 0 to 1 at x + y = 1.51 of the way from (0, 0) to (1, 1), as steep as 1/50.
    def step(x: Tensor) -> Tensor:
        return torch.sigmoid(100 * (x.sum(1) - 1.51))

    inputs, baseline = torch.ones(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)
    even = integrated_gradients(step, inputs, baseline, 32)
    refined, steps = refined_gradients(step, inputs, baseline)
    assert abs(float(even.sum()) - 1) > 0.02 and steps < 60
    assert refined.tolist() == pytest.approx([0.5, 0.5], abs=0.005)
    straight, steps = refined_gradients(lambda x: x[:, 0] ** 2 * x[:, 1], inputs, baseline)
    assert straight.tolist() == pytest.approx([2 / 3, 1 / 3]) and steps == 16


def test_a_function_that_never_adds_up_ends_at_some_point() -> None:
    _, steps = refined_gradients(
        lambda x: (1000 * x[:, 0]).sin().sign() + x[:, 0], torch.ones(1), torch.zeros(1)
    )
    assert steps <= 128


def test_the_shares_add_up_and_the_rest_is_told(judge: Any) -> None:
    for pair in (PAIR, ("two dogs are running in the snow", "three cats are asleep")):
        fine, coarse = attribute(*judge, *pair), attribute(*judge, *pair, steps=2)
        verdict = classify(*judge, *pair)
        assert fine.label == verdict.label
        assert fine.probability == pytest.approx(verdict.probabilities[fine.label], abs=1e-5)
        for found in (fine, coarse):
            total = sum(word.gradient for word in found.words)
            made = found.probability - found.baseline_probability
            assert found.error == pytest.approx(total - made, abs=1e-6)
        assert abs(fine.error) <= 0.01 < abs(coarse.error)
        assert 16 <= fine.steps <= 128 and coarse.steps == 2


def captums(judge: Any, pair: tuple[str, str], label: int, points: int) -> tuple[Tensor, float]:
    """Each token's share by Captum, and its completeness error; embeddings exchanged by a hook."""
    model, tokenizer = judge
    encoded = tokenizer.encode_pair(*pair, max_length=512)
    sequence = encoded.input_ids, encoded.token_type_ids
    table = model.embeddings.word_embeddings.weight.detach()
    inputs = table[encoded.input_ids]
    ends = {tokenizer.cls_id, tokenizer.sep_id}
    baseline = table[[i if i in ends else tokenizer.mask_id for i in encoded.input_ids]]

    def of_embeddings(given: Tensor) -> Tensor:
        batch = pack([sequence] * len(given))

        def exchanged(_: Any, summed: tuple[Tensor]) -> tuple[Tensor]:
            moved = (given - inputs).flatten(0, 1)
            rest = summed[0].new_zeros(len(summed[0]) - len(moved), moved.shape[1])  # padding
            return (summed[0] + torch.cat([moved, rest]),)

        with model.embeddings.norm.register_forward_pre_hook(exchanged):
            logits = model.nli_logits(model(batch, batch.cls_positions))
        return logits.softmax(-1)

    shares, error = captum.attr.IntegratedGradients(of_embeddings).attribute(
        inputs[None], baseline[None], target=label, n_steps=points, return_convergence_delta=True
    )
    return shares[0].sum(-1), float(error)


@pytest.mark.parametrize("points", [8, 32])
def test_gradients_are_those_of_captum(judge: Any, points: int) -> None:
    found = attribute(*judge, *PAIR, label="contradiction", steps=points)
    tokens, error = captums(judge, PAIR, LABELS.index("contradiction"), points)
    words = [*tokens[1:6].tolist(), *tokens[7:11].tolist()]  # without <cls> and both <sep>
    assert [word.gradient for word in found.words] == pytest.approx(words, abs=1e-4)
    assert [word.in_hypothesis for word in found.words] == [False] * 5 + [True] * 4
    assert found.error == pytest.approx(error, abs=1e-4)


def test_leaving_a_word_out_is_judging_without_it(judge: Any) -> None:
    found = attribute(*judge, *PAIR)
    texts = [text.split() for text in PAIR]
    pairs = [
        tuple(
            " ".join(w for i, w in enumerate(t) if (s, i) != (side, place))
            for s, t in enumerate(texts)
        )
        for side in (0, 1)
        for place in range(len(texts[side]))
    ]
    shares = [verdict.probabilities[found.label] for verdict in classify_all(*judge, pairs)]  # type: ignore[arg-type]
    expected = [found.probability - share for share in shares]
    assert [word.left_out for word in found.words] == pytest.approx(expected, abs=1e-5)
    assert " ".join(word.word for word in found.words) == " ".join(PAIR)


def test_what_cannot_be_told_is_refused(judge: Any) -> None:
    for arguments, words in (
        (("a " * 90, "a " * 20), "110 words"),
        ((" ", "a"), "is empty"),
        ((*PAIR, "maybe"), "label is 'maybe'"),
        ((*PAIR, None, 0), "steps is 0"),
    ):
        with pytest.raises(UserError, match=words):
            attribute(*judge, *arguments)
    # One word a side: without it the side is empty, which is no mistake here.
    assert len(attribute(*judge, "dogs", "cats").words) == 2

#!/usr/bin/env bash
# Trains the models that come along, as their cards say: minutes on a large GPU, six and a half hours
# on two cores. It needs WikiText-2, SNLI and all-MiniLM-L6-v2, from the Hub or from a mirror
# (BERT_DEMO_DATA).
# Where it was interrupted, it goes on: what is finished in .checkpoints/ is kept, and a run that is
# not is resumed.
set -euo pipefail
cd "$(dirname "$0")/.."

work=.checkpoints
python=${PYTHON:-python}

# once NAME COMMAND ...: makes .checkpoints/NAME, unless that is done.
once() {
  local name=$1 how=--overwrite
  shift
  [ -f "$work/$name.done" ] && return
  [ -f "$work/$name/resume.safetensors" ] && how=--resume
  "$python" -m bert_demo "$@" --out "$work/$name" "$how"
  touch "$work/$name.done"
}

mkdir -p "$work"

# The teacher: a larger model of the Hub's, taught to judge, and taught again by itself. It is not
# bundled.
once minilm import-hf sentence-transformers/all-MiniLM-L6-v2
once minilm-snli finetune --from "$work/minilm" --corpus snli \
  --epochs 3 --batch-size 128 --learning-rate 1.5e-4
once minilm-snli-taught finetune --from "$work/minilm" --corpus snli \
  --teacher "$work/minilm-snli" --new-pairs 320000 \
  --epochs 3 --batch-size 256 --learning-rate 2e-4

once bert-small pretrain --corpus wikitext-2-snli --vocabulary wordpiece --wordpieces 7500 \
  --hidden-size 256 --num-hidden-layers 4 --num-attention-heads 4 --intermediate-size 768 \
  --word-vectors random --learning-rate 0.004 --epochs 2.5

# The judge: deeper and wider than bert-small, and as many passes as a GPU makes in minutes.
once bert-judge pretrain --corpus wikitext-2-snli --vocabulary wordpiece --wordpieces 7500 \
  --hidden-size 320 --num-hidden-layers 6 --num-attention-heads 5 --intermediate-size 1152 \
  --word-vectors random --epochs 20 --batch-size 512 --dropout 0.1
once bert-judge-taught finetune --from "$work/bert-judge" --corpus snli \
  --teacher "$work/minilm-snli-taught" --new-pairs 1000000 --logic-pairs 150000 \
  --dropout 0.05 --epochs 2.4 --batch-size 512 --optimizer muon
once bert-judge-logic finetune --from "$work/bert-judge-taught" --corpus snli \
  --teacher "$work/minilm-snli-taught" --logic-pairs 40000 --edited-pairs 80000 \
  --dropout 0.05 --steps 600 --batch-size 256 --learning-rate 2e-4

# It goes on as its own teacher: who did what, and, learnt last of all, which colour is whose.
once bert-judge-words finetune --from "$work/bert-judge-logic" --corpus snli \
  --teacher "$work/bert-judge-logic" --logic-pairs 40000 --edited-pairs 140000 \
  --dropout 0.05 --steps 500 --batch-size 256 --learning-rate 3e-4 --seed 1
once bert-judge-colours finetune --from "$work/bert-judge-words" --corpus snli \
  --teacher "$work/bert-judge-logic" --logic-pairs 40000 --edited-pairs 180000 \
  --dropout 0.05 --steps 550 --batch-size 256 --learning-rate 4e-4 --seed 1
[ -f "$work/bert-small-snli/config.json" ] || "$python" -m checkpoints.average \
  "$work/bert-judge-logic" "$work/bert-judge-colours" --share 0.7 --out "$work/bert-small-snli"

once bert-crane-world pretrain --corpus crane-world --model tiny --steps 600

bundle() {
  local name=$1
  shift
  "$python" -m bert_demo bundle --model "$work/$name" --out "checkpoints/$name" --overwrite \
    --note "Trained by this project." "$@"
}

bundle bert-small \
  --note "A paragraph of SNLI is a premise with its hypotheses; no label was used."
bundle bert-small-snli --storage int8 \
  --note "Scores are those of the weights in 8 bits. It starts from a model of the \
same shape, pretrained on WikiText-2 and SNLI's sentences (20 passes) and taught in four steps. Its \
teacher is sentence-transformers/all-MiniLM-L6-v2 (Apache 2.0), fine-tuned on the same 99,890 \
labelled pairs and taught again by itself, test accuracy 0.861. In the first step the teacher judged \
these and 861,599 pairs recombined from their sentences, and the student learnt its probabilities, \
and 150,000 generated pairs of logic besides (2.4 passes); in the second, of 600 steps, pairs of \
logic made of SNLI's own sentences too. In the third and fourth, whose command is below, it was its \
own teacher and learnt from more of these. Its weights are the average of those after the second \
step and, with 0.7, after the fourth. Nothing was chosen by the test split." \
  --note "MiniLM had seen more than these pairs: its makers trained it on AllNLI, of which SNLI is \
a part, and on captions of Flickr30k, whose pictures SNLI's premises describe. So the score is not \
what 99,890 labelled pairs teach; from their labels alone a model of 4 layers of 256 reaches a test \
accuracy of 0.737."
bundle bert-crane-world

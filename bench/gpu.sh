#!/usr/bin/env bash
# What to measure first on a machine with a CUDA card.
#
#     BERT_DEMO_DATA=/path/to/hub bench/gpu.sh [FOLDER FOR THE RESULTS]
#
# Targets on a card of the H200's class: 450,000 pairs/s of pretraining and 250,000 examples/s of
# fine-tuning in the book's settings, and a base-size fine-tuning at 45% of the card's matrix rate.
# A step at 450,000 pairs/s has 1.1 ms. The host needs 0.6 to 1.8 ms (bench/host.py, which is below);
# the device has some 200 operations to do, which are captured (training/cuda_graphs.py). If it falls
# short, in this order:
# 0. "doctor.txt" must name every path of model/fast_paths.py as proved: what is switched off is slow.
# 1. "*.err" must not say why a step could not be captured: Python is the limit then. "*.sync.txt"
#    names what makes the host wait; there should be only the losses, ten times a second, and one
#    copy of a plan from pinned memory that waits for nothing.
# 2. "profile.txt" tells the time of each operation on the device. The output's cross entropy
#    (a large product, a softmax in bf16, two products) and AdamW over 5 million weights should lead.
# 3. What a layer does between its products is one kernel each way where Triton serves
#    (model/gpu_kernels); activations, sums for biases and casts are still PyTorch's.
# 4. The optimizers run outside of the graph, some 0.2 ms of Python (Muon's more): with the step size
#    in a tensor they could be inside.
# A part that fails is named at the end and does not keep the others from being measured.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:-gpu-results}
python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"
failed=()

# part NAME COMMAND...: writes what it prints to NAME.txt, and to NAME.err what it says beside it.
part() {
  local name=$1 begin=$SECONDS
  shift
  echo "== $name"
  "$@" 2>"$out/$name.err" | tee "$out/$name.txt" || {
    failed+=("$name")
    tail -n 20 "$out/$name.err"
  }
  echo "   ($((SECONDS - begin)) s)"
}

# trained NAME ARGUMENTS...: writes the events of a run to NAME.jsonl and says how it ended; without
# the kernels of Triton where NAME ends in -without.
trained() {
  local name=$1 program=(-m bert_demo)
  shift
  [[ $name != *-without ]] || program=(-m bench.without triton)
  "$python" "${program[@]}" "$@" --json --overwrite --out "$out/runs/$name" >"$out/$name.jsonl" || return
  tail -n 1 "$out/$name.jsonl"
}

part nvidia-smi nvidia-smi
part doctor "$python" -m bert_demo doctor
part kernels "$python" -m pytest -q tests/model/test_gpu_kernels.py
part host "$python" -m bench.host

crane=(pretrain --corpus crane-world --model tiny --dropout 0)
for device in cpu cuda; do
  part "$device" trained "$device" "${crane[@]}" --precision fp32 --steps 20 --device "$device"
done
part parity "$python" -m bench.gpu parity "$out"
for precision in fp32 bf16; do
  part "$precision" trained "$precision" "${crane[@]}" --precision "$precision" --steps 60
done
part precision "$python" -m bench.gpu precision "$out"

part limit "$python" -m bench.limit --device cuda
rarely=(--validate-every-steps 100000 --save-every-seconds 86400)
wiki=(pretrain --corpus wikitext-2 --recipe d2l)
snli=(finetune --corpus snli --batch-size 512 --max-length 128)
part attention "$python" -m bench.gpu attention "$out"
for way in "" -without; do
  part pretrain-tiny$way trained pretrain-tiny$way "${wiki[@]}" --model tiny --batch-size 512 \
    --max-length 64 --truncation drop --steps 3000 "${rarely[@]}"
done
part small trained small "${wiki[@]}" --model small --steps 1
for way in "" -without; do
  part finetune-small$way trained finetune-small$way "${snli[@]}" --from "$out/runs/small" \
    --recipe d2l --steps 1500 "${rarely[@]}"
done
part base trained base "${wiki[@]}" --model base --batch-size 8 --steps 1
for way in "" -without; do
  part finetune-base$way trained finetune-base$way "${snli[@]}" --from "$out/runs/base" --steps 80 \
    "${rarely[@]}"
done
part table "$python" -m bench.gpu table "$out"
part profile "$python" -m bench.gpu profile "$out"

[ ${#failed[@]} -eq 0 ] || { echo "failed: ${failed[*]}"; exit 1; }

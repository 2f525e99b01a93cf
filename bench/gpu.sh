#!/usr/bin/env bash
# What to measure first on a machine with a CUDA card; nothing here has run on one yet.
#
#     BERT_DEMO_DATA=/path/to/hub bench/gpu.sh [FOLDER FOR THE RESULTS]
#
# Targets on a card of the H200's class: 450,000 pairs/s of pretraining and 250,000 examples/s of
# fine-tuning in the book's settings, and a base-size fine-tuning at 45% of the card's matrix rate.
# If it falls short, in this order:
# 1. "sync.txt" names what makes the host wait; there should be only the losses, ten times a second.
# 2. Batches are drawn by numpy on the host, about 2 ms for 512 pairs: draw the next one in a thread
#    meanwhile, or keep the ids on the card and draw there.
# 3. Attention pads each batch to its longest sequence: torch's variable-length attention instead.
# 4. For small models Python is the limit: CUDA graphs by steps of one shape, or torch.compile.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-gpu-results}
python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"

"$python" -m bert_demo doctor | tee "$out/doctor.txt"

# The same numbers as on the CPU, before any speed: in fp32, without dropout, the same 20 losses.
for device in cpu cuda; do
  "$python" -m bert_demo pretrain --corpus crane-world --model tiny --dropout 0 --precision fp32 \
    --steps 20 --device "$device" --json --out "$out/$device" --overwrite >"$out/$device.jsonl"
done
"$python" - "$out" <<'PYTHON' | tee "$out/parity.txt"
import json, sys
from pathlib import Path
cpu, cuda = ([json.loads(line) for line in Path(sys.argv[1], f"{name}.jsonl").open()]
             for name in ("cpu", "cuda"))
apart = [abs(a["loss"] - b["loss"]) for a, b in zip(cpu, cuda) if a["event"] == "step"]
print(f"largest difference of a loss over {len(apart)} steps: {max(apart):.2e}")
PYTHON

"$python" -W always - >"$out/sync.txt" 2>&1 <<'PYTHON'
import torch
from bert_demo import RunConfig, TrainingConfig, train
for event in train(RunConfig(training=TrainingConfig(steps=30, device="cuda"))):
    torch.cuda.set_sync_debug_mode("warn" if event.get("step") == 10 else "default")
PYTHON

speed() {
  local name=$1
  shift
  "$python" -m bert_demo "$@" --json --overwrite --validate-every-steps 100000 \
    --save-every-seconds 86400 --out "$out/$name" >"$out/$name.jsonl"
  grep '"event": "step"' "$out/$name.jsonl" | tail -1 | tee "$out/$name.txt"
}
speed pretrain-tiny pretrain --corpus wikitext-2 --model tiny --recipe d2l --batch-size 512 \
  --max-length 64 --truncation drop --steps 400
speed small pretrain --corpus wikitext-2 --model small --recipe d2l --steps 1
speed finetune-small finetune --from "$out/small" --corpus snli --recipe d2l --batch-size 512 \
  --max-length 128 --steps 400
speed base pretrain --corpus wikitext-2 --model base --recipe d2l --batch-size 8 --steps 1
speed finetune-base finetune --from "$out/base" --corpus snli --batch-size 512 --max-length 128 \
  --steps 100
nvidia-smi | tee "$out/nvidia-smi.txt"

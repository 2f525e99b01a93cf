#!/usr/bin/env bash
# What to measure first on a machine with a CUDA card; nothing here has run on one yet.
#
#     BERT_DEMO_DATA=/path/to/hub bench/gpu.sh [FOLDER FOR THE RESULTS]
#
# Targets on a card of the H200's class: 450,000 pairs/s of pretraining and 250,000 examples/s of
# fine-tuning in the book's settings, and a base-size fine-tuning at 45% of the card's matrix rate.
# A step at 450,000 pairs/s has 1.1 ms. The host needs about 0.6 ms of that (bench/host.py, which is
# below); the device has some 270 operations to do, which are captured (training/cuda_graphs.py). If it
# falls short, in this order:
# 0. "proof.txt" must name every path of model/fast_paths.py: what is switched off is slow.
# 1. "captured.txt" must be empty: it says why a step could not be captured, and then Python is the
#    limit. "sync.txt" names what makes the host wait; there should be only the losses, ten times a
#    second, and one copy of a plan from pinned memory that waits for nothing.
# 2. "profile.txt" tells the time of each operation on the device. The output's cross entropy
#    (a large product, a softmax in bf16, two products) and AdamW over 5 million weights should lead.
# 3. What a layer does row by row (norms, dropout, activations) is some 60 operations of a few
#    microseconds: torch.compile of add_norm and activate in kernels.py joins them.
# 4. The optimizers run outside of the graph, some 0.2 ms of Python (Muon's more): with the step size
#    in a tensor they could be inside.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-gpu-results}
python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"

"$python" -m bert_demo doctor | tee "$out/doctor.txt"
# What of the fast path holds, and what is switched off (training/proof.py); neither: there is no card.
grep -E "^(Proved|Problem)" "$out/doctor.txt" >"$out/proof.txt"
"$python" -m bench.host | tee "$out/host.txt"

# The same numbers as on the CPU, before any speed: in fp32, without dropout, the same 20 losses of
# the same batches and masks.
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

# Flash attention's part: bf16, which it takes, beside fp32, which is padded.
for precision in fp32 bf16; do
  "$python" -m bert_demo pretrain --corpus crane-world --model tiny --dropout 0 --steps 60 \
    --precision "$precision" --json --out "$out/$precision" --overwrite >"$out/$precision.jsonl"
done
"$python" - "$out" <<'PYTHON' | tee "$out/precision.txt"
import json, sys
from pathlib import Path
low, full = ([json.loads(line) for line in Path(sys.argv[1], f"{name}.jsonl").open()]
             for name in ("bf16", "fp32"))
ends = [[e["loss"] for e in events if e["event"] == "step"][-10:] for events in (low, full)]
print("mean loss of the last ten of 60 steps, bf16 and fp32:", *(sum(e) / len(e) for e in ends))
PYTHON

# Steps are told of ten times a second, many at once, so a look lasts from one of them to a later one.
"$python" -W always - "$out" 2>"$out/captured.txt" <<'PYTHON' | tee "$out/profile.txt"
import sys, warnings
from pathlib import Path
import torch
from bert_demo import RunConfig, TrainingConfig, train
settings = TrainingConfig(recipe="d2l", batch_size=512, truncation="drop", steps=4000, device="cuda",
                          validate_every_steps=100_000)
profiler = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA])
looks = [(500, lambda: torch.cuda.set_sync_debug_mode("warn")),
         (1000, lambda: torch.cuda.set_sync_debug_mode("default")),
         (1500, profiler.start),
         (1800, lambda: (torch.cuda.synchronize(), profiler.stop()))]
with warnings.catch_warnings(record=True) as waits:
    for event in train(RunConfig(corpus="wikitext-2", size="tiny", training=settings)):
        if looks and event["event"] == "step" and event["step"] >= looks[0][0]:
            looks.pop(0)[1]()
Path(sys.argv[1], "sync.txt").write_text("\n".join(str(wait.message) for wait in waits))
print(profiler.key_averages().table(sort_by="device_time_total", row_limit=25))
PYTHON

speed() {
  local name=$1
  shift
  "$python" -m bert_demo "$@" --json --overwrite --validate-every-steps 100000 \
    --save-every-seconds 86400 --out "$out/$name" >"$out/$name.jsonl"
  grep '"event": "step"' "$out/$name.jsonl" | tail -1 | tee "$out/$name.txt"
}
# With "limit.json": examples_per_second of the ".txt" files times the operations of a pair, over "bf16".
"$python" -m bench.limit --device cuda | tee "$out/limit.json"
speed pretrain-tiny pretrain --corpus wikitext-2 --model tiny --recipe d2l --batch-size 512 \
  --max-length 64 --truncation drop --steps 400
speed small pretrain --corpus wikitext-2 --model small --recipe d2l --steps 1
speed finetune-small finetune --from "$out/small" --corpus snli --recipe d2l --batch-size 512 \
  --max-length 128 --steps 400
speed base pretrain --corpus wikitext-2 --model base --recipe d2l --batch-size 8 --steps 1
speed finetune-base finetune --from "$out/base" --corpus snli --batch-size 512 --max-length 128 \
  --steps 100
nvidia-smi | tee "$out/nvidia-smi.txt"

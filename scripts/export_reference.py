#!/usr/bin/env python3
"""Write the fixture of the parity test: logits of the Optimum fp32 export of the artifact's own checkpoint.

    pip install 'flash-ls[model,models]'
    scripts/export_reference.py [--weights FILE.gguf] [--out tests/fixtures/reference_logits.npz]

For a few prompts it keeps, at a few positions, the logits of the likeliest tokens and of a fixed sample of all others.
transformers reads the GGUF file and Optimum exports it: neither our graph nor our tokenizer has a part in it.
"""

import argparse
import json
import tempfile
from pathlib import Path

import gguf
import numpy as np
import onnxruntime as ort
import torch
from optimum.exporters.onnx import main_export
from transformers import AutoModelForCausalLM, AutoTokenizer

from flash_ls.artifact.catalog import find
from flash_ls.artifact.store import fetch

OUT = Path(__file__).resolve().parents[1] / "tests" / "fixtures" / "reference_logits.npz"
PROMPTS = [
    "<|fim_prefix|><|fim_suffix|>\n    return result\n<|fim_middle|>def add(a, b):\n    result =",
    '<|fim_prefix|><|fim_suffix|>\n}\n<|fim_middle|>package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println(',
    "for (let i = 0; i < items.length; i++) {\n  // the sum of all values\n  total += items[i].value;\n}\n",
]
LIKELIEST, SAMPLED, POSITIONS = 64, 192, 4


def checkpoint(weights: Path, folder: Path) -> None:
    """The weights as a float32 transformers checkpoint, with the better of the file's two copies of the embedding."""
    model = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    head = next(tensor for tensor in gguf.GGUFReader(weights).tensors if tensor.name == "output.weight")
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(torch.from_numpy(gguf.dequantize(head.data, head.tensor_type)))
    model.tie_weights()
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    weights = args.weights or fetch(find("qwen2.5-coder-0.5b"), lambda label, done: None)
    arrays: dict[str, np.ndarray] = {"prompts": np.array(json.dumps(PROMPTS))}
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint(weights, Path(scratch) / "hf")
        main_export(f"{scratch}/hf", f"{scratch}/onnx", task="text-generation", do_validation=False)
        tokenizer = AutoTokenizer.from_pretrained(f"{scratch}/hf")
        session = ort.InferenceSession(f"{scratch}/onnx/model.onnx", providers=["CPUExecutionProvider"])
        wanted = {value.name for value in session.get_inputs()}
        rng = np.random.default_rng(0)
        for index, prompt in enumerate(PROMPTS):
            ids = np.array([tokenizer(prompt)["input_ids"]], np.int64)
            feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), "position_ids": np.arange(ids.size)[None]}
            logits = session.run(["logits"], {name: feed for name, feed in feeds.items() if name in wanted})[0][0]
            likeliest = np.argsort(-logits[-POSITIONS:], axis=1)[:, :LIKELIEST]
            columns = np.unique(
                np.concatenate([likeliest.ravel(), rng.choice(logits.shape[1], SAMPLED, replace=False)])
            )
            arrays |= {f"ids.{index}": ids[0], f"columns.{index}": columns, f"argmax.{index}": logits.argmax(axis=1)}
            arrays[f"logits.{index}"] = logits[-POSITIONS:, columns]
            print(f"{ids.size} tokens, {len(columns)} logits at each of the last {POSITIONS}: {prompt[-40:]!r}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(args.out, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()

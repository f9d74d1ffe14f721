#!/usr/bin/env python3
"""Write a fixture of the parity test: logits of the Optimum fp32 export of a model's own checkpoint.

    pip install 'flash-ls[model,models]'
    scripts/export_reference.py --model flash [--weights FILE.gguf] [--out tests/fixtures/reference_flash.npz]

For a few prompts it keeps, at a few positions, the logits of the likeliest tokens and of a fixed sample of all others.
transformers reads the GGUF file, what was learnt is added to its layers, and Optimum exports them: neither our graph
nor our tokenizer has a part in it.
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

from flash_ls.artifact.adapter import Adapter, load
from flash_ls.artifact.catalog import find
from flash_ls.artifact.store import fetch

FIXTURES = Path(__file__).resolve().parents[1] / "tests" / "fixtures"
PROMPTS = [
    "<|fim_prefix|><|fim_suffix|>\n    return result\n<|fim_middle|>def add(a, b):\n    result =",
    '<|fim_prefix|><|fim_suffix|>\n}\n<|fim_middle|>package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println(',
    "for (let i = 0; i < items.length; i++) {\n  // the sum of all values\n  total += items[i].value;\n}\n",
]
LIKELIEST, SAMPLED, POSITIONS = 64, 192, 4
MODULES = {
    "qkv": ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    "output": ["self_attn.o_proj"],
    "gate_up": ["mlp.gate_proj", "mlp.up_proj"],
    "down": ["mlp.down_proj"],
}
"""What transformers calls the matrices of a layer that we see as one."""


def checkpoint(weights: Path, adapter: Adapter, folder: Path) -> None:
    """The weights as a float32 transformers checkpoint, with the better of the file's two copies of the embedding."""
    model = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    head = next(tensor for tensor in gguf.GGUFReader(weights).tensors if tensor.name == "output.weight")
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(torch.from_numpy(gguf.dequantize(head.data, head.tensor_type)))
        for matrix, factors in adapter.items():
            index, part = matrix.split(".")
            modules = [model.model.layers[int(index)].get_submodule(name) for name in MODULES[part]]
            learnt = torch.from_numpy(factors.up @ factors.down)
            for module, rows in zip(modules, learnt.split([one.out_features for one in modules]), strict=True):
                module.weight += rows
    model.tie_weights()
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name).save_pretrained(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="flash", help="of the catalogue; default: %(default)s")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    entry, out = find(args.model), args.out or FIXTURES / f"reference_{args.model}.npz"
    weights = args.weights or fetch(entry, lambda label, done: None)
    arrays: dict[str, np.ndarray] = {"prompts": np.array(json.dumps(PROMPTS))}
    with tempfile.TemporaryDirectory() as scratch:
        checkpoint(weights, load(entry.adapter) if entry.adapter else {}, Path(scratch) / "hf")
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
    np.savez_compressed(out, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()

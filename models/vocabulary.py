#!/usr/bin/env python3
"""Choose the words of the vocabulary that code needs, and write their upstream ids.

    models/vocabulary.py --weights FILE.gguf --size 40960 --out flash_ls/artifact/vocabulary.npz FOLDER ...

Counts the tokens of the source files under the folders, each language with the same weight, and keeps the most frequent
with everything that the tokenizer merges on the way to them: so every kept word can still be reached, and since all
bytes are kept, every text still has tokens. Special tokens are kept in any case.
"""

import argparse
import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
from tokenizers import Tokenizer
from tqdm import tqdm

from flash_ls.artifact.gguf_file import GgufFile

LANGUAGES = {
    "python": "py",
    "javascript": "js mjs",
    "typescript": "ts tsx",
    "go": "go",
    "rust": "rs",
    "java": "java",
    "cpp": "c cc cpp h hpp",
}
CHARACTERS = 8_000_000
"""Read per language."""
LONGEST_FILE = 200_000
BYTES = 256


def texts(folders: list[Path], extensions: str) -> list[str]:
    """Files in an order that does not depend on the folder, until there are enough characters."""
    endings = tuple(f".{extension}" for extension in extensions.split())
    files = sorted(path for folder in folders for path in folder.rglob("*") if path.name.endswith(endings))
    random.Random(0).shuffle(files)
    chosen: list[str] = []
    left = CHARACTERS
    for path in files:
        if left > 0 and path.is_file() and path.stat().st_size < LONGEST_FILE:
            chosen.append(path.read_text(encoding="utf-8", errors="ignore"))
            left -= len(chosen[-1])
    return chosen


def shares(tokenizer: Tokenizer, files: list[str]) -> Counter[int]:
    """How often each token stands in the files, per token."""
    counts: Counter[int] = Counter()
    for start in range(0, len(files), 64):
        for encoding in tokenizer.encode_batch(files[start : start + 64]):
            counts.update(encoding.ids)
    total = sum(counts.values()) or 1
    return Counter({token: count / total for token, count in counts.items()})


def parts_of(upstream: GgufFile) -> dict[int, tuple[int, int]]:
    """The two tokens that each token is merged from; bytes have none."""
    ids = {token: index for index, token in enumerate(upstream.field("tokenizer.ggml.tokens"))}
    merges = (merge.split(" ") for merge in upstream.field("tokenizer.ggml.merges"))
    return {ids[left + right]: (ids[left], ids[right]) for left, right in merges}


def needed(token: int, parts: dict[int, tuple[int, int]]) -> Iterator[int]:
    """The token and all that it is merged from."""
    yield token
    for part in parts.get(token, ()):
        yield from needed(part, parts)


def choose(score: Counter[int], upstream: GgufFile, size: int) -> list[int]:
    """Upstream ids of the vocabulary of `size` words, special tokens among them."""
    kinds = upstream.field("tokenizer.ggml.token_type")
    special = [
        index for index, kind in enumerate(kinds) if kind in (gguf.TokenType.CONTROL, gguf.TokenType.USER_DEFINED)
    ]
    parts = parts_of(upstream)
    kept = set(special) | set(range(BYTES))
    counted = [token for token, _ in score.most_common()]
    for token in [*counted, *range(len(kinds))]:  # of those never met, the early ones are the more frequent
        more = set(needed(token, parts)) - kept
        if len(kept) + len(more) <= size:
            kept |= more
    return sorted(kept)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("folders", type=Path, nargs="+")
    args = parser.parse_args()
    upstream = GgufFile(args.weights)
    with tempfile.TemporaryDirectory() as scratch:
        upstream.write_tokenizer(Path(scratch) / "tokenizer.json")
        tokenizer = Tokenizer.from_file(f"{scratch}/tokenizer.json")
    score: Counter[int] = Counter()
    for extensions in tqdm(LANGUAGES.values(), "counting", unit="language", disable=None):
        score.update(shares(tokenizer, texts(args.folders, extensions)))
    kept = choose(score, upstream, args.size)
    covered = sum(share for token, share in score.items() if token in set(kept)) / sum(score.values())
    np.savez_compressed(args.out, ids=np.array(kept, np.uint32))
    print(f"{len(kept)} words, {covered:.2%} of the tokens counted, {args.out.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()

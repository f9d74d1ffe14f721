"""A draft model is taught what it will be served as, and learns what the target says."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is in the extra `models`")

from flash_ls.artifact.draft import Draft  # noqa: E402
from flash_ls.deadline import Deadline  # noqa: E402
from flash_ls.engine.draft_model import LAST  # noqa: E402
from flash_ls.engine.embedding import Embedding  # noqa: E402
from flash_ls.engine.onnx_model import OnnxModel  # noqa: E402
from models import data, states  # noqa: E402
from models.data import Sample  # noqa: E402
from models.draft import STEPS, Corpus, DraftNet, acceptance, loss_of, main  # noqa: E402
from tests.engine.toy_draft import INNER, WORDS, following  # noqa: E402
from tests.reference_model import ReferenceModel  # noqa: E402
from tests.toy_model import SHAPE, ToyWeights, write_artifact  # noqa: E402

HEAD = ToyWeights().tensors["output.weight"]
LENGTH = 60


def test_the_net_is_what_is_served() -> None:
    torch.manual_seed(0)
    net = DraftNet(SHAPE.hidden, INNER, torch.tensor(HEAD[WORDS]))
    torch.nn.init.normal_(net.down, std=0.1)
    state, *embedded = np.random.default_rng(0).normal(0, 2, (1 + LAST, SHAPE.hidden)).astype(np.float32)
    with torch.no_grad():
        said = net(torch.tensor(state[None]), torch.tensor(np.array([embedded]))).numpy()[0]
    learnt = Draft(WORDS, **{name: value.detach().numpy() for name, value in net.named_parameters()})
    assert np.allclose(said, following(learnt, state, np.array(embedded)), atol=0.02 * np.abs(said).max())


def said_by(model: OnnxModel, prompt: int) -> list[int]:
    """Greedy text after a word."""
    text, cache = [prompt], model.new_cache()
    while len(text) < LENGTH:
        words, values, *_ = model.forward(text[-1:], cache, 1, Deadline())
        text.append(int(words[values[0].argmax()]))
    return text


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A toy, samples, and the states of the toy that has read them."""
    folder = tmp_path_factory.mktemp("draft")
    model = OnnxModel(folder / "artifact", write_artifact(folder / "artifact"), "fp32")
    data.save(folder / "samples.npz", [Sample(said_by(model, prompt), 3, "python", "line") for prompt in range(3)])
    with pytest.MonkeyPatch.context() as patch:
        given = ["--artifact", str(folder / "artifact"), "--out", str(folder / "read"), "--precision", "fp32"]
        patch.setattr("sys.argv", ["states.py", str(folder / "samples.npz"), *given, "--tokens", "140"])
        states.main()
    return folder


def test_the_states_are_those_before_each_next_token(corpus: Path) -> None:
    tokens, places = np.load(corpus / "read/tokens.npy"), np.load(corpus / "read/places.npy")
    assert places.tolist() == [*range(LENGTH), *range(LENGTH), *range(20)]
    logits = ReferenceModel(SHAPE, ToyWeights()).logits(tokens[:LENGTH].tolist())
    said = np.load(corpus / "read/states.npy")[:LENGTH].astype(np.float32) @ HEAD.T
    assert np.abs(said - logits).max() < 0.02 * np.abs(logits).max()
    assert said.argmax(axis=1)[:-1].tolist() == tokens[1:LENGTH].tolist()


def test_what_the_target_would_say_follows_the_states(corpus: Path) -> None:
    read = corpus / "read"
    embedding, words = Embedding(corpus / "artifact"), np.arange(SHAPE.vocabulary)
    before = Corpus(read, embedding, words).choice
    assert np.mean(before[:-1] == np.load(read / "tokens.npy")[1:]) > 0.9
    states, places = np.load(read / "states.npy"), np.load(read / "places.npy")
    for written in (-states, states):
        np.save(read / "states.npy", written)
        np.save(read / "places.npy", places)
        assert np.array_equal(Corpus(read, embedding, words).choice, before) is (written is states)


def test_teaching_makes_more_of_its_guesses_right(corpus: Path) -> None:
    torch.manual_seed(0)
    words = np.arange(SHAPE.vocabulary)
    read = Corpus(corpus / "read", Embedding(corpus / "artifact"), words)
    net, starts = DraftNet(SHAPE.hidden, INNER, torch.tensor(HEAD)), read.starts(STEPS)
    assert starts.tolist() == [start for start in range(140 - STEPS - 1) if start % LENGTH < LENGTH - STEPS - 1]
    untaught = acceptance(net, read, words, starts)
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(80):
        loss_of(net, read, starts).backward()
        optimiser.step()
        optimiser.zero_grad()
    assert acceptance(net, read, words, starts)[0] > untaught[0] + 0.2


def test_what_was_learnt_is_kept(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["--held", corpus / "read", "--artifact", corpus / "artifact", "--samples", corpus / "samples.npz"]
    given += ["--out", corpus / "toy.npz", "--minutes", "0.001", "--inner", "128", "--words", "100", "--batch", "64"]
    monkeypatch.setattr("sys.argv", ["draft.py", str(corpus / "read"), *map(str, given), "--every", "1"])
    main()
    assert json.loads((corpus / "toy.jsonl").read_text().splitlines()[-1])["step"] >= 1
    with np.load(corpus / "toy.npz") as learnt:
        assert {name: learnt[name].shape for name in learnt.files} == {
            "words": (100,),
            "gate_up": (256, (1 + LAST) * SHAPE.hidden),
            "down": (SHAPE.hidden, 128),
        }

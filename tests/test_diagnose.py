"""`diagnose`: each kind of fault on planted maps, and nothing on healthy ones."""

import json
import re
import runpy
import shlex
import subprocess
from dataclasses import asdict

import numpy as np
import pytest
from click.testing import CliRunner

from neural_attn import diagnose
from neural_attn.cli import cli
from neural_attn.diagnosis.diagnose import CHECKS
from neural_attn.diagnosis.loops import longest_loop
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.metrics.planted import planted_head, planted_tokens
from tests.test_readme import ROOT, copy_examples

SOURCE, TARGET = planted_tokens(14, seed=1), planted_tokens(12, seed=2)
T, S = len(TARGET), len(SOURCE)
RANDOM = np.random.default_rng(0)


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def heads(*patterns, tokens=SOURCE, causal=False):
    """Planted heads, [1, heads, tokens, tokens]."""
    made = [
        planted_head(name, tokens, noise=0.2, causal=causal, seed=seed)
        for seed, name in enumerate(patterns)
    ]
    return np.stack(made)[np.newaxis]


def encoder(weights, tokens=SOURCE, name="encoder_0", **options):
    return AttentionMap(
        name, weights, query_tokens=tokens, key_tokens=tokens, **options
    )


def decoder(weights, tokens=TARGET, causal=True, **options):
    return encoder(
        weights, tokens, "decoder_0.self", kind="decoder_self", causal=causal, **options
    )


def cross(weights, queries=TARGET, keys=SOURCE):
    return AttentionMap(
        "decoder_0.cross", weights, "cross", query_tokens=queries, key_tokens=keys
    )


def aligned(queries, keys, sharpness=6.0, count=3):
    """Heads that go along the diagonal, no two alike."""
    steps = np.linspace(0, keys - 1, queries)[:, np.newaxis]
    apart = np.abs(steps - np.arange(keys))
    noise = RANDOM.standard_normal((count, queries, keys))
    return softmax(sharpness * np.exp(-(apart**2)) + noise * 0.7)[np.newaxis]


def on_key(*keys, count=3, queries=T, of=S):
    """Heads whose rows all look at the same keys."""
    scores = RANDOM.standard_normal((1, count, queries, of)) * 0.5
    scores[..., list(keys)] += 5
    return softmax(scores)


def nearly_even(queries, keys, count=4, spread=0.3):
    return softmax(spread * RANDOM.standard_normal((1, count, queries, keys)))


def by_content(tokens, count=3, size=8):
    """What attention gives without positions: softmax(q · k) of the tokens alone."""
    words = {word: RANDOM.standard_normal(size) for word in dict.fromkeys(tokens)}
    x = np.stack([words[word] for word in tokens])
    q, k = RANDOM.standard_normal((2, count, size, size)) / np.sqrt(size)
    return softmax((x @ q) @ np.swapaxes(x @ k, 1, 2))[np.newaxis]


HEALTHY_SELF = ("previous_token", "next_token", "local", "sink")
HEALTHY_CAUSAL = ("previous_token", "same_token", "sink")
LOOP = ("<s>", *("to", "be", "or") * 5)
LONG_SOURCE, LONG_TARGET = planted_tokens(60, seed=3), planted_tokens(50, seed=4)


def seq2seq(weights, **options):
    own = decoder(heads(*HEALTHY_CAUSAL, tokens=TARGET, causal=True))
    return [encoder(heads(*HEALTHY_SELF)), own, cross(weights, **options)]


def short_and_long(short, long):
    """Two batches: cross-attention on a short text, and on a long one."""
    return [[cross(short)], [cross(long, LONG_TARGET, LONG_SOURCE)]]


def leaking():
    weights = heads(*HEALTHY_CAUSAL, tokens=TARGET, causal=True)
    weights[0, 1] = heads("next_token", tokens=TARGET)[0, 0]
    return weights


def padded():
    tokens = (*SOURCE[:-3], "<pad>", "<pad>", "<pad>")
    return encoder(heads(*HEALTHY_SELF, tokens=SOURCE), tokens)


def masked():
    mask = np.arange(len(SOURCE)) < len(SOURCE) - 3
    return encoder(heads(*HEALTHY_SELF), mask=mask[np.newaxis, np.newaxis, np.newaxis])


def with_empty_rows():
    weights = heads(*HEALTHY_SELF)
    weights[0, 2, 4:6] = 0
    mask = np.ones((1, 1, len(SOURCE), len(SOURCE)), bool)
    mask[..., 4:6, :] = False
    weights[..., 4:6, :] = 0
    return encoder(weights, mask=mask)


def twins():
    weights = heads(*HEALTHY_SELF)
    weights[0, 3] = weights[0, 1]
    return encoder(weights)


def copying():
    patterns = ("duplicate_token", "previous_token", "sink")
    return decoder(heads(*patterns, tokens=LOOP, causal=True), LOOP)


def alike_in_a_loop():
    one = heads("sink", tokens=LOOP, causal=True)
    other = 0.97 * one + 0.03 * heads("same_token", tokens=LOOP, causal=True)
    return decoder(np.concatenate([one, other], axis=1), LOOP)


def half_unfounded():
    weights = aligned(len(TARGET), len(SOURCE))
    weights[:, :, 6:] = nearly_even(len(TARGET) - 6, len(SOURCE), 3)
    return weights


# fault -> maps that have it, a list of them, or batches
PLANTED = {
    "masking/later": lambda: decoder(leaking()),
    "masking/later unmasked": lambda: decoder(leaking(), causal=False),
    "masking/padding": padded,
    "masking/masked": masked,
    "masking/empty": with_empty_rows,
    "untrained/even": lambda: encoder(nearly_even(S, S)),
    "positions/blind": lambda: encoder(by_content(SOURCE)),
    "hallucination/diffuse": lambda: seq2seq(nearly_even(T, S, spread=0.9)),
    "hallucination/misplaced": lambda: seq2seq(on_key(3)),
    "hallucination/unfounded": lambda: seq2seq(half_unfounded()),
    "repetition/copying": copying,
    "repetition/alike": alike_in_a_loop,
    "long_inputs/ends": lambda: cross(
        on_key(0, 1, 2, 57, 58, queries=50, of=60), LONG_TARGET, LONG_SOURCE
    ),
    "long_inputs/uniform": lambda: short_and_long(
        aligned(T, S), nearly_even(50, 60, 3)
    ),
    "long_inputs/blurred": lambda: short_and_long(
        aligned(T, S), aligned(50, 60, sharpness=4.5)
    ),
    "redundancy/collapsed": lambda: encoder(
        np.repeat(heads("previous_token"), 4, axis=1)
    ),
    "redundancy/redundant": twins,
}
# what is found beside it, and true
ALSO = {"long_inputs/uniform": {"hallucination"}}
HEALTHY = {
    "encoder": lambda: encoder(heads(*HEALTHY_SELF)),
    "causal": lambda: decoder(heads(*HEALTHY_CAUSAL, tokens=TARGET, causal=True)),
    "translator": lambda: seq2seq(aligned(T, S)),
    "long": lambda: short_and_long(aligned(T, S), aligned(50, 60, sharpness=9)),
    "heads that look at copies": lambda: encoder(
        heads("duplicate_token", "induction", "previous_token")
    ),
    "one even layer": lambda: [
        encoder(heads(*HEALTHY_SELF)),
        encoder(nearly_even(S, S), name="encoder_1"),
    ],
    "one head of cross-attention aligns": lambda: seq2seq(
        np.concatenate([nearly_even(T, S), aligned(T, S, count=1)], axis=1)
    ),
    "a loop without copying": lambda: decoder(
        heads("previous_token", "sink", "local", tokens=LOOP, causal=True), LOOP
    ),
}


def look(made):
    """A diagnosis of a map, of maps, or of batches of them."""
    made = made if isinstance(made, list) else [made]
    batches = made if isinstance(made[0], list) else [made]
    return diagnose([AttentionMaps(batch) for batch in batches])


def found(diagnosis):
    return [f"{fault.kind}/{fault.cause}" for fault in diagnosis.faults]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_and_no_other(name):
    diagnosis = look(PLANTED[name]())
    expected = name.split()[0]
    assert expected in found(diagnosis)
    kinds = set(diagnosis.kinds) - ALSO.get(name, set())
    assert kinds == {expected.split("/")[0]}
    for fault in diagnosis.faults:
        assert all((fault.heads, fault.layers, fault.remedies, fault.numbers))
        for number in fault.numbers:
            apart = number.value - number.threshold
            assert apart >= 0 if number.at_least else apart <= 0
            assert number.rows > 0
        check = CHECKS[fault.kind]
        assert fault.remedies == tuple(check.remedies[fault.cause])
        assert fault.numbers[0].threshold in {
            limit.value for limit in check.thresholds.values()
        }


@pytest.mark.parametrize("name", HEALTHY)
def test_nothing_is_found_in_healthy_maps(name):
    diagnosis = look(HEALTHY[name]())
    assert found(diagnosis) == []
    assert [one.kind for one in diagnosis.checked] == list(CHECKS)
    for one in diagnosis.checked:
        assert bool(one.why_not) != bool(one.rows and one.texts and one.heads)


def test_every_cause_is_planted():
    causes = {f"{c.kind}/{cause}" for c in CHECKS.values() for cause in c.remedies}
    planted = {name.split()[0] for name in PLANTED}
    assert causes - planted == {"masking/nan", "untrained/random"}


def test_a_fault_names_its_heads_and_tokens():
    (fault,) = look(PLANTED["masking/later"]()).faults
    assert fault.heads == ("L0H1",)
    assert fault.layers == ("decoder_0.self",)
    (fault,) = look(twins()).faults
    assert fault.heads == ("L0H1", "L0H3")
    assert fault.numbers[0].value == pytest.approx(0, abs=1e-6)
    (fault,) = look(seq2seq(half_unfounded())).faults
    assert {t.position for t in fault.tokens} <= set(range(6, T))
    assert all(t.token == TARGET[t.position] for t in fault.tokens)
    (fault,) = look(with_empty_rows()).faults
    assert {t.position for t in fault.tokens} == {4, 5}


def test_texts_are_numbered_over_batches():
    good, bad = encoder(heads(*HEALTHY_SELF)), padded()
    (fault,) = look([[good], [good], [bad]]).faults
    assert {token.text for token in fault.tokens} == {2}
    assert {token.token for token in fault.tokens} == {"<pad>"}


def test_no_more_is_read_in_random_weights():
    maps = AttentionMaps(seq2seq(aligned(T, S)), trained=False)
    diagnosis = diagnose(maps)
    assert found(diagnosis) == ["untrained/random"]
    unread = [c.kind for c in diagnosis.checked if "untrained" in c.why_not]
    assert unread == ["hallucination", "repetition", "long_inputs", "redundancy"]


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ("a b c a b d", None),
        ("x a b a b a b y", (1, 2, 3)),
        ("a a a a a a", (0, 1, 6)),
        ("a a a", None),
        ("[PAD] [PAD] [PAD] [PAD] [PAD] [PAD]", None),
        ("q a b c a b c a b c a", (1, 3, 3)),
    ],
)
def test_loops(text, loop):
    assert longest_loop(text.split()) == loop


def test_the_page_has_the_limits_of_the_checks():
    made = runpy.run_path(str(ROOT / "docs" / "make_diagnosis.py"))
    assert made["PAGE"].read_text("utf-8") == made["page"](), (
        "run: python docs/make_diagnosis.py"
    )


# --- the command --------------------------------------------------------------------


def run(*arguments):
    return CliRunner().invoke(cli, ["diagnose", *map(str, arguments)])


@pytest.fixture
def saved(tmp_path):
    def save(made):
        path = tmp_path / "maps.npz"
        AttentionMaps(made if isinstance(made, list) else [made]).save(path)
        return path

    return save


def test_faults_are_data_unless_they_are_to_fail(saved):
    path = saved(twins())
    assert run(path).exit_code == 0
    assert run(path, "--fail-on", "masking").exit_code == 0
    assert run(path, "--fail-on", "masking", "--fail-on", "redundancy").exit_code == 1
    assert run(path, "--fail-on", "any").exit_code == 1
    wrong = run(path, "--fail-on", "redundent")
    assert wrong.exit_code == 2
    assert "there are any, masking" in wrong.stderr
    healthy = saved(encoder(heads(*HEALTHY_SELF)))
    assert run(healthy, "--fail-on", "any").exit_code == 0


def test_the_report_says_what_was_looked_at(saved):
    said = " ".join(run(saved(seq2seq(on_key(3)))).output.split())
    assert "hallucination (misplaced): cross-attention is misplaced" in said
    assert "where: L1H0.cross, L1H1.cross, L1H2.cross (decoder_0.cross)" in said
    assert "try: look at the tokens of the source" in said
    assert "nothing found: masking, in 10 heads, 38 rows of 1 text" in said
    assert "not looked for: long_inputs (no text has 32 tokens or more)" in said
    assert re.search(r"\(at least 0.5; 0 is uniform attention", said)


def test_json_is_all_of_it(saved):
    path = saved(twins())
    data = json.loads(run(path, "--json").output)
    assert data["schema"] == "neural-attn/diagnosis"
    faults = [asdict(one) for one in diagnose(AttentionMaps.load(path)).faults]
    assert data["faults"] == json.loads(json.dumps(faults))


def test_what_the_input_doctor_finds_is_not_dropped(tmp_path):
    good = heads(*HEALTHY_SELF).astype(np.float32)
    bad = good.copy()
    bad[0, 1, 3] = np.nan
    np.savez(tmp_path / "maps.npz", good=good, bad=bad, scores=good * 3)
    data = json.loads(run(tmp_path / "maps.npz", "--json").output)
    assert [(f["kind"], f["cause"]) for f in data["faults"]] == [("masking", "nan")]
    assert data["faults"][0]["layers"] == ["bad"]
    assert any(n.startswith("left out scores") and "W0803" in n for n in data["notes"])


NETWORK = """
network Tiny {
  input: (none,)
  layers:
    Embedding(20, 16)
    POSITIONS
    TransformerEncoder(num_heads=2, ff_dim=16)
    GlobalAveragePooling1D()
    Output(2)
}
"""


@pytest.mark.parametrize("positions", ["PositionalEncoding()", ""])
def test_a_network_without_positions(tmp_path, positions):
    file, data = tmp_path / "tiny.neural", tmp_path / "ids.npy"
    file.write_text(NETWORK.replace("POSITIONS", positions), encoding="utf-8")
    ids = np.random.default_rng(1).integers(0, 20, (3, 16))
    ids[:, 8:] = ids[:, :8]
    np.save(data, ids)
    tokens = ",".join("abcdefgh" * 2)
    done = run(file, "-b", "numpy", "-d", data, "-t", tokens, "--json")
    assert done.exit_code == 0, done.output
    kinds = [one["kind"] for one in json.loads(done.stdout)["faults"]]
    assert kinds == (["untrained"] if positions else ["untrained", "positions"])


# --- the gallery of faults ----------------------------------------------------------

GALLERY = ROOT / "docs" / "faults.md"


def gallery():
    """What comes before its kinds, and the text of each kind."""
    before, *kinds = re.split(r"^## (\w+)\n", GALLERY.read_text("utf-8"), flags=re.M)
    return before, dict(zip(kinds[::2], kinds[1::2], strict=True))


def test_the_gallery_shows_every_kind_beside_a_healthy_network():
    _, kinds = gallery()
    assert list(kinds) == list(CHECKS)
    for kind, text in kinds.items():
        shown = re.findall(r"images/(\w+)\.webp", text)
        assert shown == [f"fault_{kind}_healthy", f"fault_{kind}"]
        assert re.findall(r" -o (\w+)$", text, re.M) == [f"{kind}_healthy", kind]
        for name in shown:
            path = GALLERY.parent / "images" / f"{name}.webp"
            assert path.stat().st_size <= 40_000, name


def test_the_gallery_shows_what_is_found(tmp_path, monkeypatch):
    pytest.importorskip("tokenizers")
    copy_examples(tmp_path)
    monkeypatch.chdir(tmp_path)
    before, kinds = gallery()
    (bash,) = re.findall(r"```bash\n(.*?)```", before, re.S)
    subprocess.run(["bash", "-ec", bash], check=True)
    (code,) = re.findall(r"```python\n(.*?)```", before, re.S)
    exec(compile(code, GALLERY.name, "exec"), {})
    for kind, text in kinds.items():
        (call,) = re.findall(r"^neural (diagnose .*)$", text, re.M)
        done = CliRunner().invoke(cli, [*shlex.split(call), "--json"])
        assert done.exit_code == 0, done.output
        assert kind in {one["kind"] for one in json.loads(done.stdout)["faults"]}


def test_options_of_models_are_refused_of_maps():
    maps = AttentionMaps([encoder(heads(*HEALTHY_SELF))])
    with pytest.raises(NeuralError, match="checkpoint"):
        diagnose(maps, checkpoint="w.safetensors")


def test_a_real_model_is_not_called_broken(minilm_dir, tmp_path):
    texts = [
        "The cat that I love sat on the mat because it was tired.",
        "Neural networks learn from data.",
        "She said that she would come, but she did not.",
        "It rains in Paris today, and the streets are wet.",
        "A man is playing a guitar on the stage while people listen.",
    ]
    diagnosis = diagnose(
        minilm_dir, [*texts, " ".join(texts)], backend="numpy", output_dir=tmp_path
    )
    assert diagnosis.faults == ()
    looked = [one.kind for one in diagnosis.checked if not one.why_not]
    assert looked == ["masking", "untrained", "positions", "long_inputs", "redundancy"]

"""Arrays as other libraries hand them out: what each axis is taken for, or refused."""

import numpy as np
import pytest

from neural_attn import AttentionMaps, analyze, capture, explore
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.maps.given import take
from neural_attn.maps.local_windows import is_window, unroll
from neural_attn.maps.validation import admit

N = 12
VISIBLE = np.tri(N)
EVEN = VISIBLE / VISIBLE.sum(1, keepdims=True)  # uniform over what a causal query sees
EVEN = np.stack([EVEN, EVEN])[None]


def softmax(*shape, seed=0):
    scores = np.exp(2 * np.random.default_rng(seed).standard_normal(shape))
    return scores / scores.sum(-1, keepdims=True)


# --- causal -------------------------------------------------------------------------


def test_a_uniform_lower_triangle_is_causal_and_uniform():
    analysis = analyze([EVEN])
    for head in analysis.heads:
        assert head.kind == "decoder_self"
        assert head.pattern.name == "uniform"
        # by hand: each row has the entropy ln(n) of the n keys that it can see
        found = head.statistics["normalized_entropy"]
        assert (found.mean, found.uniform) == pytest.approx((1, 1))
    (note,) = analysis.notes
    assert note.startswith("layer_0: taken as causal")
    assert "causal=False or --no-causal undoes it" in note


def test_causal_false_undoes_it():
    analysis = analyze([EVEN], causal=False)
    visible = np.arange(2, N + 1)
    by_hand = (np.log(visible) / np.log(N)).sum() / N  # the first row has entropy 0
    found = analysis.heads[0].statistics["normalized_entropy"]
    assert found.mean == pytest.approx(by_hand)
    assert analysis.heads[0].kind == "encoder_self"
    assert analysis.notes == ()


@pytest.mark.parametrize(
    "weights",
    [
        np.where(np.arange(N * N).reshape(N, N) == 1, 1e-7, EVEN),  # one weight ahead
        np.eye(N)[None, None],  # nothing on either side
        np.ones((1, 1, 1, 1)),
    ],
)
def test_what_may_look_ahead_is_not_causal(weights):
    (one,) = take([weights]).maps
    assert not one.causal


def test_one_example_that_looks_ahead_is_enough():
    weights = np.concatenate([EVEN, softmax(1, 2, N, N)])
    assert not take([weights]).maps[0].causal
    assert AttentionMaps.from_arrays({"a": EVEN}).get_map("a").causal
    assert not AttentionMaps.from_arrays({"a": weights}).get_map("a").causal
    undone = AttentionMaps.from_arrays({"a": EVEN}, causal=False)
    assert not undone.get_map("a").causal


def test_rows_of_padding_do_not_hide_that_it_is_causal():
    # Left padding: the row that sees nothing is filled evenly.
    weights = EVEN.copy()
    weights[:, :, 0] = 1 / N
    weights[:, :, 1:, 0] = 0
    weights[:, :, 1:] /= weights[:, :, 1:].sum(-1, keepdims=True)
    mask = np.array([[0] + [1] * (N - 1)])
    assert take([weights], mask=mask).maps[0].causal
    assert not take([weights]).maps[0].causal


# --- axes ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "axes", "wanted"),
    [
        ((4, 5), None, (1, 1, 4, 5)),
        ((2, 3, 5, 5), None, (2, 3, 5, 5)),
        ((1, 5, 5), None, (1, 1, 5, 5)),
        ((3, 5, 5), "bqk", (3, 1, 5, 5)),
        ((3, 5, 5), "hqk", (1, 3, 5, 5)),
        ((2, 5, 3, 5), "bqhk", (2, 3, 5, 5)),
        ((2, 1, 5, 5), "b1qk", (2, 1, 5, 5)),
    ],
)
def test_axes_are_known_or_told(shape, axes, wanted):
    weights = softmax(*shape)
    (one,) = take({"a": weights}, axes=axes).maps
    assert one.weights.shape == wanted
    assert one.weights[-1, -1, 2, 3] == pytest.approx(
        weights[-1, 2, -1, 3]
        if axes == "bqhk"
        else weights[(-1,) * (len(shape) - 2)][2, 3]
    )


def test_three_axes_are_not_guessed():
    # nn.MultiheadAttention averages over heads: [batch, queries, keys].
    taken = take({"a": softmax(3, 5, 5)})
    (finding,) = taken.findings
    assert finding.code == "W0812"
    assert finding.stops
    assert 'axes="bqk"' in finding.hint
    assert not taken.maps
    for refuse in (lambda a: explore(a), lambda a: analyze(a), AttentionMaps):
        with pytest.raises((NeuralError, ValueError), match=r"may be \[heads, q"):
            refuse([softmax(3, 5, 5)])
    assert AttentionMaps([softmax(3, 5, 5)], axes="bqk")["layer_0"].shape[:2] == (3, 1)


@pytest.mark.parametrize(
    ("known", "shape"),
    [
        ({"tokens": [["a"] * 5] * 3}, (3, 1, 5, 5)),
        ({"mask": np.ones((3, 5), int)}, (3, 1, 5, 5)),
        ({"tokens": [["a"] * 5]}, (1, 3, 5, 5)),
        ({"mask": np.ones((1, 5), int)}, (1, 3, 5, 5)),
    ],
)
def test_tokens_and_masks_say_whether_three_axes_have_a_batch(known, shape):
    (one,) = take({"a": softmax(3, 5, 5)}, **known).maps
    assert one.weights.shape == shape


def test_other_layers_say_whether_three_axes_have_a_batch():
    taken = take([softmax(2, 5, 5), softmax(1, 2, 5, 5)])
    assert [one.weights.shape for one in taken.maps] == [(1, 2, 5, 5)] * 2
    assert taken.notes == ["layer_0: taken as [heads, queries, keys]"]


def test_a_list_of_decoder_steps_is_no_batch_of_heads():
    # Bahdanau: one [batch, source, 1] for each word written.
    steps = [softmax(2, 1, 7, seed=seed).swapaxes(1, 2) for seed in range(4)]
    assert [f.code for f in take(steps).findings] == ["W0812"] * 4
    (one,) = take(steps, axes="qbk1").maps
    assert one.weights.shape == (2, 1, 4, 7)
    assert one.kind == "cross"
    np.testing.assert_allclose(one.weights[1, 0, 3], steps[3][1, :, 0], rtol=1e-6)


def test_a_stack_of_layers_is_taken_apart():
    stack = softmax(3, 2, 4, 5, 5)
    taken = take(stack, axes="lbhqk")
    assert [one.name for one in taken.maps] == ["layer_0", "layer_1", "layer_2"]
    np.testing.assert_array_equal(taken.maps[1].weights, stack[1].astype(np.float32))
    assert [f.code for f in take(stack).findings] == ["W0811"]


@pytest.mark.parametrize("axes", ["bq", "bqkk", "xqk", ""])
def test_axes_that_are_none(axes):
    with pytest.raises(NeuralError, match="E0431"):
        take([softmax(2, 5, 5)], axes=axes)


def test_an_array_with_other_axes_than_told_is_refused():
    (finding,) = take([softmax(1, 2, 5, 5)], axes="bqk").findings
    assert finding.code == "W0811"
    assert "(1, 2, 5, 5) is not [batch, queries, keys]" in finding.message


# --- windows ------------------------------------------------------------------------


def test_local_windows_are_put_where_they_stand():
    # by hand: row q of width 3 holds keys q - 1, q, q + 1
    window = np.array([[[[0, 2, 1], [1, 1, 1], [3, 1, 2], [1, 2, 0]]]], float)
    window /= window.sum(-1, keepdims=True)
    square = np.array([[2, 1, 0, 0], [1, 1, 1, 0], [0, 3, 1, 2], [0, 0, 1, 2]], float)
    square /= square.sum(-1, keepdims=True)
    assert is_window(window)
    np.testing.assert_array_equal(unroll(window)[0, 0], square)
    taken = take([window], ["a", "b", "c", "d"])
    (one,) = taken.maps
    assert one.kind == "encoder_self"
    assert one.query_tokens == one.key_tokens == (("a", "b", "c", "d"),)
    assert taken.notes == ["layer_0: local windows of 3 keys, put in their places"]


def test_cross_attention_is_no_window():
    taken = take([softmax(1, 2, 8, 5)])
    assert taken.maps[0].kind == "cross"
    assert taken.notes == ["layer_0: taken as cross-attention"]


def test_windows_of_pictures_are_not_one_run():
    # Swin: the windows of each layer are its batch.
    _, findings = admit([softmax(8, 1, 4, 4), softmax(2, 2, 4, 4)])
    assert [f.code for f in findings] == ["W0811"]
    assert "as in Swin" in findings[0].hint


# --- padding ------------------------------------------------------------------------


MASK = np.array([[1] * N, [1] * 7 + [0] * 5])


def padded(fill):
    """Two texts of 12 and 7 tokens; rows of padding are filled as a library does."""
    weights = softmax(2, 2, N, N)
    weights[1, :, :, 7:] = 0
    weights /= weights.sum(-1, keepdims=True)
    weights[1, :, 7:] = fill
    return weights


@pytest.mark.parametrize("fill", [0, 1 / N])
def test_rows_of_padding_are_left_out(fill):
    analysis = analyze([padded(fill)], mask=MASK)
    assert analysis.findings == ()
    alone = analyze(AttentionMaps([padded(fill)[1:, :, :7, :7]]))
    both = analyze([padded(fill)[1:]], mask=MASK[1:])
    for one, other in zip(alone.heads, both.heads, strict=True):
        for name, found in one.statistics.items():
            assert other.statistics[name].mean == pytest.approx(found.mean, abs=1e-6)


def test_real_rows_are_still_held_to_their_promise():
    weights = padded(0)
    weights[1, :, 3] *= 2
    assert [f.code for f in admit([weights], mask=MASK)[1]] == ["W0803"]


@pytest.mark.parametrize(
    "mask",
    [
        np.ones((2, N), bool),
        np.ones((2, N)),  # as some libraries keep it
        np.ones((1, 1, N, N), bool),
        np.ones((N, N), bool),
    ],
)
def test_masks_that_fit(mask):
    assert admit([softmax(2, 2, N, N)], mask=mask)[1] == []


@pytest.mark.parametrize(
    "mask",
    [
        np.ones((2, N - 1), int),
        np.ones((3, N), int),
        np.full((2, N), 2),
        np.zeros((2, 1, N, N)),  # added to scores
        np.ones((2, 1, N, 5), bool),
    ],
)
def test_masks_that_do_not_fit(mask):
    with pytest.raises(NeuralError, match="E0437"):
        admit([softmax(2, 2, N, N)], mask=mask)


def test_a_mask_may_stand_beside_the_arrays():
    arrays = {
        "a": padded(0),
        "attention_mask": MASK,
        "tokens": np.array([["t"] * N] * 2),
    }
    maps, findings = admit(arrays)
    assert findings == []
    assert maps.item("a", 1).key_tokens == ("t",) * 7


# --- rows that do not sum to 1 --------------------------------------------------------


def test_rows_with_a_sink_are_shares_of_what_is_left():
    weights = softmax(1, 2, N, N + 1)[..., :-1]  # gpt-oss drops the sink's column
    analysis = analyze([weights])
    assert {head.rows for head in analysis.heads} == {"parts"}
    missing = 1 - weights.sum(-1).mean()
    assert any(
        f"{missing:.0%} of the attention goes to no key" in n for n in analysis.notes
    )
    with pytest.raises(NeuralError, match="W0803"):
        analyze([weights], rows="shares")


def test_rows_without_attention_are_no_sink():
    weights = softmax(1, 1, N, N)
    weights[:, :, 5] = 0
    (finding,) = admit([weights])[1]
    assert finding.code == "W0803"
    assert "8% of the rows are all 0" in finding.message
    assert "attention_mask" in finding.hint


def test_dropout_is_told_as_such():
    random = np.random.default_rng(1)
    weights = softmax(1, 2, N, N) * (random.random((1, 2, N, N)) > 0.2) / 0.8
    (finding,) = admit([weights])[1]
    assert finding.code == "W0803"
    assert "eval()" in finding.hint


# --- names, None, what is no array ----------------------------------------------------


def test_layers_that_are_none_keep_their_numbers(tmp_path):
    weights = softmax(1, 2, N, N)
    maps = AttentionMaps([None, weights, None, None, weights[:, :1]])
    assert list(maps) == ["layer_1", "layer_4"]
    assert [head.label for head in analyze(maps).heads] == ["L1H0", "L1H1", "L4H0"]
    assert list(maps.select(4)) == list(maps.select(-1)) == ["layer_4"]
    with pytest.raises(KeyError, match=r"no attention layer 0: .*layers 1, 4, or -1"):
        maps.select(0)
    maps.save(tmp_path / "maps.npz")
    assert AttentionMaps.load(tmp_path / "maps.npz") == maps


def test_names_may_hold_a_slash(tmp_path):
    maps = AttentionMaps.from_arrays({"model/encoder/attention": softmax(1, 2, N, N)})
    maps.save(tmp_path / "maps.npz")
    assert AttentionMaps.load(tmp_path / "maps.npz") == maps
    with np.load(tmp_path / "maps.npz") as plain:
        assert "model/encoder/attention" in plain
    assert list(maps.select("model")) == list(maps)


def test_nested_mappings_and_lists_of_numbers():
    rows = softmax(N, N).tolist()
    array = np.array(rows)
    taken = take({"text": {"first": rows}, "picture": [array, array]})
    assert [one.name for one in taken.maps] == [
        "text/first", "picture_0", "picture_1"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (3, "E0433"),
        ({"a": "text"}, "E0433"),
        ([softmax(3, 3), "text"], "E0433"),
        ([[softmax(3, 3)], [softmax(3, 3)] * 2], "E0433"),
    ],
)
def test_what_holds_no_arrays_is_refused(given, code):
    with pytest.raises(NeuralError, match=code):
        take(given)


def test_batches_in_turn_are_maps():
    maps = AttentionMaps([softmax(1, 2, N, N)])
    assert analyze(maps for _ in range(3)).texts == 3
    with pytest.raises(NeuralError, match="E0433"):
        analyze(softmax(1, 2, N, N) for _ in range(3))
    with pytest.raises(NeuralError, match="`axes` has no effect on maps"):
        analyze(maps, axes="bqk")


# --- tokens ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tokens", "wanted"),
    [
        (np.array(["a", "b", "c"]), "abc"),
        (np.array([["a", "b", "c"]]), "abc"),
        ([1, 2, 0], "120"),
        (np.array([[1, 2, 0]]), "120"),
    ],
)
def test_tokens_are_arrays_or_ids(tokens, wanted):
    (one,) = take([softmax(1, 1, 3, 3)], tokens).maps
    assert one.key_tokens == (tuple(wanted),)


def test_ids_are_read_by_a_tokenizer():
    words = ["the", "cat", "sat"]
    arrays, ids = [softmax(1, 1, 3, 3)], np.array([0, 1, 2])
    (one,) = take(arrays, ids, tokenizer=lambda ids: [words[i] for i in ids]).maps
    assert one.key_tokens == (tuple(words),)


@pytest.mark.parametrize(
    "tokens", ["abc", [1.5, 2], [["a"], "b"], [None], [["a", [1]]]]
)
def test_tokens_that_are_none(tokens):
    with pytest.raises(NeuralError, match="E0432"):
        take([softmax(1, 1, 3, 3)], tokens)


# --- frameworks -----------------------------------------------------------------------


@pytest.mark.requires_torch
def test_tensors_as_they_come(tmp_path):
    import torch

    weights = torch.tensor(softmax(1, 2, N, N))
    given = (
        weights.to(torch.bfloat16),
        weights.float().requires_grad_() * 1,
        None,
        weights.half()[:, :1],
    )
    for maps in (AttentionMaps(given), explore(given).maps):
        assert maps.layer_numbers == (0, 1, 3)
        np.testing.assert_allclose(maps["layer_1"], weights, rtol=1e-6)
        np.testing.assert_allclose(maps["layer_0"], weights, rtol=1e-2)
    explore(given).save(tmp_path / "page.html")
    assert len(analyze(given).heads) == 5


@pytest.mark.requires_tensorflow
def test_tensors_of_tensorflow():
    import tensorflow as tf

    weights = softmax(1, 2, N, N)
    (one, half) = take([tf.constant(weights), tf.cast(weights, tf.bfloat16)]).maps
    np.testing.assert_allclose(one.weights, weights, rtol=1e-6)
    np.testing.assert_allclose(half.weights, weights, rtol=1e-2)


def test_whatever_exports_its_memory_is_an_array():
    class Foreign:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    weights = softmax(1, 2, N, N)
    (one,) = take([Foreign(weights)]).maps
    np.testing.assert_allclose(one.weights, weights, rtol=1e-6)


def test_the_empty_tuple_of_a_fused_kernel_is_refused_at_once():
    with pytest.raises(ValueError, match="no attention weights; a fused kernel"):
        AttentionMaps(())


def test_labels_that_do_not_fit_are_said_at_every_door():
    weights = {"a": np.eye(4)[None, None]}
    with pytest.warns(UserWarning, match="a: 2 tokens for 4 keys"):
        maps = capture(weights, tokens=["x", "y"])
    page = explore(weights, tokens=["x", "y"])
    for notes in (maps.notes, page.maps.notes):
        assert any("2 tokens for 4 keys" in note for note in notes)

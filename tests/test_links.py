"""Heads that find given links: counted by hand, planted, merged, read and refused."""

import io
import json
import math
import re

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console
from scipy import stats

from neural_attn.analysis import analyze
from neural_attn.analysis.link_counts import CountedLinks
from neural_attn.analysis.links import LinkFinder
from neural_attn.cli import cli
from neural_attn.diagnostics.errors import NeuralError
from neural_attn.inputs.links import bring_texts, read_links, take_links
from neural_attn.maps.attention_map import AttentionMap
from neural_attn.maps.attention_maps import AttentionMaps
from neural_attn.reports.html import to_html
from neural_attn.reports.markdown import to_markdown
from neural_attn.reports.terminal import print_analysis

TOKENS = ["[CLS]", *"abcdefghijklm", "[SEP]"]


def linked(count=40, seed=0):
    """Head 0 follows the links, head 1 looks one back, head 2 anywhere."""
    random, length = np.random.default_rng(seed), len(TOKENS)
    for _ in range(count):
        links = [(q, int(random.choice([k for k in range(1, length - 1) if k != q])))
                 for q in range(1, length - 1)]  # fmt: skip
        weights = random.random((3, length, length)) * 0.01
        for query, key in links:
            weights[0, query, key] = 1
            weights[1, query, query - 1] = 1
        weights[:, :, 0] += 0.5  # [CLS] gets most, and no link leads there
        weights /= weights.sum(-1, keepdims=True)
        yield AttentionMaps.from_arrays({"layer": weights}, TOKENS), links


def by_head(finder):
    return {score.head: score for score in finder.scores()}


# one text of five tokens, three heads; the strongest key of each row is written out
STRONGEST = [[1, 0, 4, 2, 0], [4, 4, 4, 4, 4], [1, 2, 3, 4, 0]]


def small(kind="encoder_self", causal=False, queries=5, **options):
    weights = np.full((1, 3, 5, 5), 0.1, np.float32)
    for head, row in enumerate(STRONGEST):
        weights[0, head, range(5), row] = 0.6
    weights = weights[:, :, 5 - queries :]
    one = AttentionMap("a", weights, kind, None, causal, **options)
    return AttentionMaps([one])


# --- what is counted ----------------------------------------------------------------


def test_by_hand():
    finder = LinkFinder()
    finder.add(small(), [(0, 1), (1, 0), (2, 4), (3, 4)])
    found = by_head(finder)
    # head 0: 1, 0, 4 are right, 2 is not; head 1 always 4; head 2: the next one
    assert [found[head].found for head in range(3)] == [3, 2, 2]
    assert found[0].accuracy == 0.75
    assert found[0].chance == 0.25  # four keys but the token itself
    assert (found[0].baseline, found[0].offset) == (0.5, 1)
    assert [one.head for one in finder.scores()] == [0, 1, 2]


@pytest.mark.parametrize(
    ("candidates", "found", "chance"),
    [(None, 0, 1 / 3), ([1, 2], 1, 1 / 2), ([1, 2, 3], 0, 1 / 3), ([1], 1, 1)],
)
def test_only_candidates_count(candidates, found, chance):
    row = [0.1, 0.25, 0.05, 0.6]
    maps = AttentionMaps.from_arrays({"a": np.tile(row, (1, 4, 1))}, causal=False)
    finder = LinkFinder()
    finder.add(maps, {"links": [(0, 1)], "candidates": candidates})
    (score,) = finder.scores()
    assert (score.found, score.chance) == (found, pytest.approx(chance))
    assert score.candidates == ("given" if candidates else "visible")


def test_any_of_several_keys_is_right():
    finder = LinkFinder()
    finder.add(small(), [(0, [1, 4]), (3, [0, 1])])
    assert [by_head(finder)[head].found for head in range(3)] == [1, 1, 1]
    assert finder.scores()[0].chance == 0.5
    assert by_head(finder)[0].baseline == 0.5


def test_of_equal_weights_none_is_the_strongest():
    even = AttentionMaps.from_arrays({"a": np.full((1, 4, 4), 0.25)}, causal=False)
    finder = LinkFinder()
    finder.add(even, [(0, 1), (3, 0)])
    assert finder.scores()[0].found == 0


def test_a_key_that_some_heads_cannot_see_is_not_found_by_them():
    mask = np.ones((1, 3, 5, 5), bool)
    mask[:, 0, 0, 1] = False
    weights = np.where(mask, small()["a"], 0)
    maps = AttentionMaps([AttentionMap("a", weights, mask=mask)])
    finder = LinkFinder()
    finder.add(maps, [(0, 1)])
    scores = by_head(finder)
    assert [scores[head].found for head in range(3)] == [0, 0, 1]
    assert [scores[head].chance for head in range(3)] == [0, 0.25, 0.25]


@pytest.mark.parametrize(
    ("maps", "row", "links", "found"),
    [
        # rows 1 and 2 are those of tokens 1 and 2, or predict tokens 2 and 3
        (small("cross"), "token", [(1, 0), (2, 4)], [2, 1, 0]),
        (small("cross"), "predicting", [(2, 0), (3, 4)], [2, 1, 0]),
        (small("cross"), "predicting", [(1, 1), (2, 2)], [1, 0, 2]),
        (small("decoder_self"), "predicting", [(2, 0)], [1, 0, 0]),
        # of a cache: the rows are those of the last tokens
        (small("decoder_self", queries=2), "token", [(3, 2), (4, 0)], [2, 0, 1]),
        (small("decoder_self", queries=2), "predicting", [(4, 2)], [1, 0, 0]),
        (small(), "token", [(1, 0)], [1, 0, 0]),
    ],
)
def test_rows(maps, row, links, found):
    finder = LinkFinder(row)
    finder.add(maps, links)
    assert [by_head(finder)[head].found for head in range(3)] == found


def test_kinds():
    cross = AttentionMap("c", np.full((1, 1, 5, 7), 1 / 7, np.float32), "cross")
    maps = AttentionMaps([*small("decoder_self").maps, cross])
    for kind, name in ((None, "c"), ("cross", "c"), ("decoder_self", "a")):
        finder = LinkFinder(kind=kind)
        finder.add(maps, [(4, 0)])
        assert {score.map for score in finder.scores()} == {name}


# --- how sure that is ---------------------------------------------------------------


def test_heads_that_follow_links_beat_both_baselines():
    whole, left, right = LinkFinder(), LinkFinder(), LinkFinder()
    for index, (maps, links) in enumerate(linked()):
        whole.add(maps, links)
        (left if index % 3 else right).add(maps, links)
    scores = by_head(whole)
    assert scores[0].accuracy == 1
    assert scores[0].baseline < 0.2
    assert [scores[head].verdict for head in range(3)] == [
        "finds them", "no evidence", "no evidence",
    ]  # fmt: skip
    merged = left.merge(right).scores()
    for one, other in zip(merged, whole.scores(), strict=True):
        assert one.accuracy == other.accuracy
        assert math.isclose(one.low, other.low)
        assert math.isclose(one.chance, other.chance)


def test_permuted_heads_permute_the_rows():
    order = [2, 0, 1]
    plain, permuted = LinkFinder(), LinkFinder()
    for maps, links in linked(5):
        plain.add(maps, links)
        arrays = {"layer": maps["layer"][:, order]}
        permuted.add(AttentionMaps.from_arrays(arrays, TOKENS), links)
    one, other = by_head(plain), by_head(permuted)
    for place, head in enumerate(order):
        assert other[place].found == one[head].found
        assert other[place].low == one[head].low


def test_an_offset_that_explains_all_is_not_beaten():
    finder = LinkFinder()
    for maps, links in linked(5):
        finder.add(maps, [(query, query - 1) for query, _ in links if query > 1])
    scores = finder.scores()
    assert scores[0].head == 1
    assert scores[0].accuracy == scores[0].baseline == 1
    assert not any(score.finds for score in scores)


def test_the_interval_is_wilsons_for_all_heads_together():
    finder = LinkFinder()
    finder.add(small(), [(0, 1), (1, 0), (2, 4), (3, 4)])
    for score in finder.scores():  # one text: links count one each
        level = 1 - 0.05 / 3
        known = stats.binomtest(score.found, 4).proportion_ci(level, "wilson")
        assert (score.low, score.high) == pytest.approx(tuple(known))


def test_texts_that_differ_are_worth_fewer_links():
    """Each text all or nothing: ten texts of six links are worth ten links or less."""

    def of(hits):
        rows = (np.array(one, bool)[np.newaxis] for one in hits)
        parts = [CountedLinks.of_text((0,), row, np.zeros(row.shape)) for row in rows]
        return sum(parts[1:], parts[0]).effective()[0]

    assert of([[1] * 6, [0] * 6] * 5) == pytest.approx(9)  # the design effect is 6 10/9
    assert of([[1, 0] * 3] * 10) == 60  # all alike: never more than there are
    assert of([[1] * 6] * 10) == 60


def test_without_links_there_is_no_score():
    finder = LinkFinder()
    finder.add(small(), [])
    assert finder.scores() == []
    assert LinkFinder().merge(finder).scores() == []


def test_other_rows_do_not_merge():
    one, other = LinkFinder("predicting"), LinkFinder()
    for finder in (one, other):
        finder.add(small("cross"), [(2, 1)])
    with pytest.raises(ValueError, match="different rows"):
        one.merge(other)
    assert LinkFinder().merge(one).row == "predicting"


# --- links of nowhere ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ([(0, 99)], "0 to 99 is outside a text of 15"),
        ([(99, 2)], "is outside a text of 15"),
        ([(3, 3)], "linked to itself"),
        ([(3, 0)], r"leads to \[CLS\], which is not a candidate"),
        ({"links": [(3, 2)], "candidates": [4]}, "leads to no candidate"),
        ({"links": [(3, 2)], "candidates": [2, 99]}, "candidate 99 is outside a text"),
        ({"links": [(3, 2)], "candidate": [2]}, "did you mean `candidates`"),
        ({"candidates": [2]}, 'there is no list "links"'),
        ([3, 2], "3 is not a link"),
        ([(3, 2, 1)], "is not a link"),
        ([(3, -2)], "has '-2' for a position"),
        ([(3, 2.0)], "has '2.0' for a position"),
        ([(True, 2)], "has 'True' for a position"),
        ([("3", 2)], "has '3' for a position"),
        ([(3, [])], "a link has no position"),
        ("3 2", "no list"),
    ],
)
def test_links_that_do_not_fit_are_refused(links, message):
    maps, _ = next(linked(1))
    with pytest.raises(ValueError, match=message):
        LinkFinder().add(maps, links)
    with pytest.raises(NeuralError, match="links of text 2: .*" + message):
        analyze(AttentionMaps([AttentionMap(
            "a", np.repeat(maps["layer"], 2, 0), query_tokens=TOKENS, key_tokens=TOKENS
        )]), links=[[], links])  # fmt: skip


@pytest.mark.parametrize(
    ("maps", "settings", "links", "message"),
    [
        (small("decoder_self", causal=True), {}, [(1, 3)], "no head may attend to it"),
        (small("cross"), {"row": "predicting"}, [(0, 3)], "token 0 has no row that"),
        (small("decoder_self", queries=2), {}, [(1, 0)], "token 1 has no row of its"),
        (small(), {"row": "predicting"}, [(1, 0)], "these maps are of an encoder"),
        (small(), {"kind": "cross"}, [(1, 0)], "no map of the kind 'cross'"),
        (small("cross"), {}, [(5, 0)], "is outside a text of 5 × 5"),
    ],
)
def test_rows_that_are_not_there_are_refused(maps, settings, links, message):
    weights = maps["a"] * maps.get_map("a").allowed
    one = maps.get_map("a")
    maps = AttentionMaps([AttentionMap("a", weights, one.kind, None, one.causal)])
    with pytest.raises(ValueError, match=message):
        LinkFinder(**settings).add(maps, links)


def test_settings_that_are_none_are_refused():
    for settings in ({"row": "x"}, {"kind": "self"}):
        with pytest.raises(ValueError, match="not one of"):
            LinkFinder(**settings)


def test_as_many_links_as_texts():
    with pytest.raises(NeuralError, match="number of texts: 2, not 1"):
        analyze(small(), links=[[(0, 1)], [(0, 1)]])


# --- files and reports --------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[]", "not a JSON object"),
        ('{"text": 1, "links": []}', '"text" is not a text'),
        ('{"text": "a"}', 'no list "links"'),
        ('{"text": "a", "link": [[0, 1]]}', "did you mean `links`"),
        ('{"text": "a", "links": [[0, 1.5]]}', "has '1.5' for a position"),
        ('{"links": [[0, 1]]}', 'every line has a "text" or none has'),
    ],
)
def test_bad_lines_are_named_with_their_number(tmp_path, line, message):
    path = tmp_path / "links.jsonl"
    path.write_text('{"text": "a b", "links": [[0, 1]]}\n\n' + line, "utf-8")
    with pytest.raises(NeuralError, match=f"links.jsonl, line 3: .*{message}"):
        list(read_links(path))


@pytest.mark.parametrize("text", ["", '"text": "a b", '])
def test_lines_without_any_link_are_no_links(tmp_path, text):
    path = tmp_path / "links.jsonl"
    path.write_text(f'{{{text}"links": []}}\n' * 2, "utf-8")
    with pytest.raises(NeuralError, match="holds no links"):
        bring_texts(path)
    with path.open("a", encoding="utf-8") as more:
        more.write(f'{{{text}"links": [[0, 1]]}}\n')
    assert bring_texts(path) == bool(text)


def test_a_line_is_read():
    assert take_links({"links": [[4, [2, 3, 2]]], "candidates": range(5)}) == (
        take_links(take_links({"links": [(4, (2, 3))], "candidates": [0, 1, 2, 3, 4]}))
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Maps of three texts, and their links."""
    folder = tmp_path_factory.mktemp("linked")
    found = list(linked(3))
    arrays = {"layer": np.concatenate([maps["layer"] for maps, _ in found])}
    AttentionMaps.from_arrays(arrays, TOKENS).save(folder / "maps.npz")
    lines = (json.dumps({"links": links}) for _, links in found)
    (folder / "links.jsonl").write_text("\n".join(lines), "utf-8")
    return folder


def run(*arguments):
    return CliRunner().invoke(cli, ["analyze", *map(str, arguments)])


@pytest.mark.usefixtures("undrawn")
def test_every_report_shows_the_same_numbers(files):
    maps = AttentionMaps.load(files / "maps.npz")
    links = [one.links for one in read_links(files / "links.jsonl")]
    analysis = analyze(maps, links=links)
    best = analysis.links[0]
    row = (f"{best.accuracy:.3f}", f"{best.low:.3f} to {best.high:.3f}",
           f"{best.chance:.3f}", f"{best.baseline:.3f}", "finds them")  # fmt: skip
    stream = io.StringIO()
    print_analysis(analysis, Console(file=stream, width=80))
    page = re.sub("<[^>]+>", "", to_html(analysis))
    shown = [stream.getvalue(), to_markdown(analysis), page]
    for text in shown:
        for cell in row:
            assert cell in text
        assert "L0H0 finds 1.00 of 39 given links" in text
        assert "encoder self attention, the row of the token" in text
    result = run(files / "maps.npz", "--links", files / "links.jsonl", "--json")
    data = json.loads(result.output)["links"]
    assert data == analysis.to_dict()["links"]
    assert data[0]["verdict"] == "finds them"


def test_no_head_is_shown_to_find_them(files):
    maps = AttentionMaps.load(files / "maps.npz").select(head=2)
    links = [one.links for one in read_links(files / "links.jsonl")]
    first = analyze(maps, links=links).highlights[0]
    assert first.sentence.startswith("no head is shown to find the given links")


def test_links_of_a_random_sample_are_refused(files, tmp_path):
    network = tmp_path / "n.neural"
    network.write_text(
        "network N { input: (4,) layers: Embedding(9, 4) MultiHeadAttention(2) }"
    )
    result = run(network, "--links", files / "links.jsonl", "--backend", "numpy")
    assert "there are no data" in str(result.exception)


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        (1, [], "number of texts: 1, not 3"),
        (3, ["--link-row", "predicting"], "line 1: no row predicts a token"),
        (
            3,
            ["--link-kind", "cross"],
            "line 1: there is no map of the kind 'cross': there is encoder_self",
        ),
        (3, ["--text", "a b"], "bring no texts"),
        (0, [], "holds no links"),
    ],
)
def test_the_command_says_what_does_not_fit(files, tmp_path, lines, options, message):
    path = tmp_path / "links.jsonl"
    text = (files / "links.jsonl").read_text("utf-8")
    path.write_text("\n".join(text.splitlines()[:lines]), "utf-8")
    result = run(files / "maps.npz", "--links", path, *options)
    assert message in str(result.exception)

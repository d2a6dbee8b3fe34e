"""The example of translation: pairs, sure links, scores, a short training."""

import json
import re
import shlex
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from neural_attn.compile import check_file
from tests import warm_python
from tests.example_scripts import scripts_of

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples" / "translation"
NETWORK = FOLDER / "translation.neural"
PAGE = (FOLDER / "README.md").read_text("utf-8")

HEADER = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n'
CATALOGUE = f"""{HEADER}
msgid "Delete %(name)s"
msgstr "%(name)s\\n 삭제"

msgid "%(count)d row"
msgid_plural "%(count)d rows"
msgstr[0] "행 %(count)d개"

#, fuzzy
msgid "Doubtful"
msgstr "의심"

msgid "Untranslated"
msgstr ""

msgid "API"
msgstr "API"
"""


@pytest.fixture
def scripts():
    """What imports a module of the example by its name; each is loaded anew."""
    with scripts_of(FOLDER, "make_pairs", "make_links", "score") as load:
        yield load


@pytest.fixture
def wheels(tmp_path):
    """A folder with a wheel that has a Korean, a French and another file."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with zipfile.ZipFile(folder / "shop-1-py3-none-any.whl", "w") as wheel:
        wheel.writestr("shop/locale/ko/LC_MESSAGES/django.po", CATALOGUE)
        wheel.writestr("shop/locale/fr/LC_MESSAGES/django.po", "no catalogue")
        wheel.writestr("shop/__init__.py", "raise SystemExit")
    return folder


def test_messages_are_those_that_are_translated(scripts, wheels):
    make_pairs = scripts("make_pairs")
    (wheel,) = wheels.iterdir()
    found = list(make_pairs.messages(wheel))
    assert found == [
        ("%(name)s 삭제", "Delete %(name)s"),
        ("행 %(count)d개", "%(count)d rows"),
        ("API", "API"),
    ]
    assert list(filter(make_pairs.is_wanted, found)) == found[:2]
    assert not make_pairs.is_wanted(("긴 글" * 40, "A long text"))


def test_nothing_held_out_is_like_what_is_learned(scripts, monkeypatch):
    make_pairs = scripts("make_pairs")
    monkeypatch.setattr(make_pairs, "HELD", 2)
    words = [a + b for a in "가나다라마바사아" for b in "각낙닥락막박삭악"]
    pairs = [(f"{one} 문서 삭제", f"Delete {ord(one[0])}{one} now") for one in words]
    alike = [(korean.replace("삭제", "삭제!"), f"Drop {korean}") for korean, _ in pairs]
    learned, held = make_pairs.split([*pairs, *alike, *pairs])
    assert len(learned) == len(set(learned))
    assert len({korean for korean, _ in held}) == len(held)
    for korean, english in held:
        for other, written in learned:
            assert jaccard(make_pairs, korean, other) < make_pairs.ALIKE
            assert jaccard(make_pairs, english, written) < make_pairs.ALIKE
    # the same whatever else there is
    again, _ = make_pairs.split(pairs)
    assert [pair for pair in learned if pair in set(pairs)] == again


def jaccard(make_pairs, one, other):
    left, right = make_pairs.triples(one), make_pairs.triples(other)
    return len(left & right) / len(left | right)


def test_texts_that_differ_in_numbers_and_marks_alone_are_the_same(scripts):
    known = scripts("make_pairs").Known(["Page 3", "Delete it"])
    assert known.like("page 12!") == (1, 0)
    assert known.like("쪽") == (0, 0)


def test_links_are_of_words_that_stand_once_on_both_sides(scripts):
    tokenizers = pytest.importorskip("tokenizers")
    words = ["▁", "▁%(name)s", "▁API", "▁key", "삭제", "▁of", "을", "▁the"]
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            {word: i for i, word in enumerate(["[UNK]", *words])},
            continuing_subword_prefix="",
        )
    )
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    korean, english = "API %(name)s을 삭제", "the key of %(name)s API API"
    both = made.encode(korean), made.encode(english)
    assert scripts("make_links").links(korean, english, *both) == [[3, [1]]]


def test_scores_are_counted(scripts):
    pytest.importorskip("sacrebleu")
    score = scripts("score")
    right = ["Delete %(name)s now or later", "No rows of {table} are left"]
    assert score.scores(right, right) == {
        "BLEU": pytest.approx(100), "chrF": 100, "exact": 100, "placeholders": 100,
    }  # fmt: skip
    lost = ["Delete it now or later", right[1]]
    found = score.scores(lost, right)
    assert (found["exact"], found["placeholders"]) == (50, 50)
    assert 0 < found["BLEU"] < 100
    pairs = [("문서 삭제", "Delete it"), ("쪽 추가", "Add a page")]
    asked = ["새 쪽 추가", "비밀번호"]
    answers, is_far = score.remembered(pairs, asked)
    assert (answers[0], is_far) == ("Add a page", [False, True])


def test_the_page_names_files_that_are_there():
    assert check_file(NETWORK)[1] == []
    named = re.findall(r"\]\(([^)#:]+)\)|(examples/translation/\w+\.\w+)", PAGE)
    paths = [FOLDER / link if link else ROOT / path for link, path in named]
    assert {NETWORK, FOLDER / "make_pairs.py", FOLDER / "score.py"} <= set(paths)
    assert [path for path in paths if not path.exists()] == []
    for picture in FOLDER.glob("*.png"):
        assert f"({picture.name})" in PAGE
        assert picture.stat().st_size <= 150_000


@pytest.mark.thorough
@pytest.mark.requires_torch
@pytest.mark.requires_transformers
def test_the_commands_of_the_page_run_on_a_few_pairs(wheels, tmp_path):
    words = [a + b for a in "가나다라마바사아" for b in "각낙닥락막박삭악"]
    entries = [
        f'msgid "Field {n} of %(name)s"\nmsgstr "%(name)s {word} 항목"\n'
        for n, word in enumerate(words)
    ]
    with zipfile.ZipFile(wheels / "more-1-py3-none-any.whl", "w") as wheel:
        text = "\n".join([HEADER, *entries])
        wheel.writestr("more/locale/ko_KR/LC_MESSAGES/more.po", text)
    shutil.copytree(FOLDER, tmp_path / "examples" / "translation")
    here = Path("examples/translation")
    run(tmp_path, here / "make_pairs.py", "wheels")
    pairs = (tmp_path / "pairs.tsv").read_text("utf-8")
    (tmp_path / "held_out.tsv").write_text(pairs, "utf-8")
    train = ("train", here / "translation.neural", "--pairs", "pairs.tsv")
    run(tmp_path, "-m", "neural_attn", *train, "--epochs", 1, "-b", "pytorch")
    said = run(tmp_path, here / "score.py", "translation_trained", "--num-examples", 5)
    assert "network: BLEU" in said
    run(tmp_path, here / "make_links.py", "translation_trained")
    first = json.loads((tmp_path / "links.jsonl").read_text("utf-8").split("\n")[0])
    ids = np.load(tmp_path / "links.npz")
    assert ids["source"].shape[0] == ids["target"].shape[0]
    assert max(first["links"][0][1]) in first["candidates"]
    command = re.findall("^    neural (visualize .*)$", PAGE, re.M)[0]
    run(tmp_path, "-m", "neural_attn", *shlex.split(command), "-b", "numpy")
    assert (tmp_path / "attention_outputs" / "cross_attention_layer1.png").is_file()


def run(folder, *arguments):
    done = warm_python.run(*map(str, arguments), cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout

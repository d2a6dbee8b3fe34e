"""Dates come out as ISO 8601 has them, each digit from where it stands."""

import re
import shlex
from pathlib import Path

import pytest

from neural_attn import generate
from neural_attn.scoring import is_match
from tests import warm_python
from tests.example_scripts import scripts_of

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "examples" / "dates"
pytest.importorskip("tokenizers")


@pytest.fixture(scope="module")
def scripts():
    """`make_dates` and `alignment`, the scripts of the example."""
    names = ("make_dates", "alignment")
    with scripts_of(FOLDER, *names) as load:
        yield [load(name) for name in names]


def test_no_day_is_both_learned_and_unseen(scripts):
    make, _ = scripts
    learned = {iso for _, iso in make.make(make.LEARNED)}
    unseen = {iso for _, iso in make.make(1000, unseen=True)}
    assert len(learned) == 8000
    assert len(unseen) == 1000
    assert not learned & unseen


def test_parts_are_found_where_they_stand(scripts):
    from datetime import date

    spans = scripts[1].spans("Tuesday the 5th of May 2015", date(2015, 5, 5))
    assert spans == {
        "year": range(23, 27),
        "month": range(19, 22),
        "day": range(12, 15),
    }
    spans = scripts[1].spans("5.5.2015", date(2015, 5, 5))
    assert spans == {"year": range(4, 8), "month": range(2, 3), "day": range(1)}


def test_unseen_dates_come_out_right(scripts):
    pairs = scripts[0].make(40, unseen=True)
    network = FOLDER / "dates.neural"
    made = generate(network, [source for source, _ in pairs], backend="numpy")
    right = [is_match(a, b) for a, (_, b) in zip(made.texts, pairs, strict=True)]
    assert sum(right) >= 38


def test_each_digit_is_read_where_it_stands(scripts):
    found = scripts[1].shares(30)
    assert found["year"][0] >= 0.98
    assert found["month"][0] >= 0.9
    assert found["day"][0] >= 0.8
    assert all(chance < 0.4 for _, chance in found.values())


@pytest.mark.thorough
@pytest.mark.requires_torch
def test_it_learns_what_its_page_says(scripts, tmp_path):
    """Trained anew, both networks: two or three minutes."""
    data, unseen = tmp_path / "dates.tsv", tmp_path / "unseen.tsv"
    make = scripts[0]
    for path, pairs in ((data, make.make(8000)), (unseen, make.make(500, unseen=True))):
        path.write_text("".join(f"{a}\t{b}\n" for a, b in pairs), "utf-8")
    names = ("dates", "without_attention")
    weights = []
    for name in names:
        folder = tmp_path / name
        done = warm_python.run(
            "-m", "neural_attn", "train", FOLDER / f"{name}.neural", "--pairs", data,
            "--tokenizer", "char", "-b", "pytorch", "-o", folder,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        weights.append(folder / f"{name}.safetensors")
    from neural_attn.scoring import compare, score
    from neural_attn.trainer.pairs import read_pairs

    pairs = read_pairs(unseen)
    sources = [a for a, _ in pairs]
    texts = [
        generate(
            FOLDER / f"{name}.neural", sources, checkpoint=path, backend="numpy"
        ).texts
        for name, path in zip(names, weights, strict=True)
    ]
    right = [b for _, b in pairs]
    assert score(texts[0], right)[0].value >= 95
    assert compare(*texts, right)[0].low > 0


@pytest.mark.thorough
@pytest.mark.requires_torch
def test_the_commands_of_its_page_run(tmp_path, monkeypatch):
    text = (FOLDER / "README.md").read_text("utf-8")
    blocks = re.findall(r"^```bash\n(.*?)^```$", text, re.M | re.S)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    assert len(blocks) == 4
    for line in "".join(blocks).splitlines():
        program, *arguments = shlex.split(line)
        module = ["-m", "neural_attn"] if program == "neural" else []
        done = warm_python.run(*module, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "steps" / "attention_entropy_analysis.png").is_file()

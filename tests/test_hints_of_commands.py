"""Hints about what a command is given, followed."""

import pytest

from tests.following import follow
from tests.laboratory import lay_out

ANALYZE = "analyze small.neural -b numpy --no-probe"
PADDED = "analyze padded.neural -b numpy --no-probe"
READS = f"{PADDED} --tokenizer t.json"
SEES = "analyze images.neural -b numpy --no-probe"
HEARS = "analyze sounds.neural -b numpy --no-probe"
TRANSLATES = "analyze translator.neural -b numpy --no-probe"
SHOWS = "analyze shows.neural -b numpy --no-probe --tokenizer t.json"
SAYS = "analyze says.neural -b numpy --no-probe --tokenizer ends.json"
TALKS = f"{SAYS} --audio short.wav --audio short.wav".replace("says", "talks")
DRAWS = "visualize small.neural -b numpy --attention -f svg"
# message -> (the command that shows it, the command changed as its hint says)
FOLLOWED = {
    "E0103": ("compile utf16.neural", "compile small.neural"),
    "E0125": ("explain Q9", "explain E0203"),
    "E0127": (
        "new gpt -o n1.neural --name a-b",
        "new gpt -o n1.neural --name MyNetwork",
    ),
    "E0128": ("new gpt -o plain.neural", "new gpt -o plain2.neural"),
    "E0227": ("compile two.neural", "compile two.neural --network Plain"),
    "E0228": ("compile two.neural --network Q", "compile two.neural --network Plain"),
    "E0401": ("analyze plain.neural -b numpy", ANALYZE),
    "E0403.ordinary": (f"{READS} --file pipe", f"{READS} --file texts.txt"),
    "E0404": (f"{ANALYZE} -d noise.npy", f"{ANALYZE} -d ids.npy"),
    "E0404.table": (f"{ANALYZE} -d ids.csv", f"{ANALYZE} -d ids.npy"),
    "E0405": (f"{TRANSLATES} -d named.npz", f"{TRANSLATES} -d both.npz"),
    "E0405.missing": (f"{TRANSLATES} -d source.npz", f"{TRANSLATES} -d both.npz"),
    "E0406.ids": (f"{ANALYZE} -d fractions.npy", f"{ANALYZE} -d ids.npy"),
    "E0408.links": (
        f"{READS} --links links_none.jsonl",
        f"{READS} --links links.jsonl",
    ),
    "E0409.padding": (
        "analyze unpadded.neural -b numpy --tokenizer t.json --text a --text 'a b'",
        f"{READS} --text a --text 'a b'",
    ),
    "E0409.run": (f"{SEES} -d large.npy", f"{SEES} -d pixels.npy"),
    "E0409.weight": (
        "analyze flat.neural -b numpy --no-probe -d long.npy",
        "analyze flat.neural -b numpy --no-probe -d ids.npy",
    ),
    "E0411": (f"{ANALYZE} -d ids.npy -t a,b", f"{ANALYZE} -d ids.npy -t a,b,a,b"),
    "E0411.input": (
        f"{ANALYZE} -d ids.npy -t q=a,b,a,b",
        f"{ANALYZE} -d ids.npy -t inputs=a,b,a,b",
    ),
    "E0414": (f"{ANALYZE} --steps out", ANALYZE),
    "E0414.data": (f"{READS} -d ids.npy --text a", f"{READS} --text a"),
    "E0414.files": (
        f"{DRAWS} -o o4 --tokenizer t.json --file abab.txt --text 'a b a b'",
        f"{DRAWS} -o o4 --tokenizer t.json --file abab.txt",
    ),
    "E0414.maps": ("analyze maps.npz --text a", "analyze maps.npz"),
    "E0414.images": (
        f"{SEES} --image six.png -d pixels.npy",
        f"{SEES} --image six.png",
    ),
    "E0414.sounds": (
        f"{HEARS} --audio short.wav -d frames.npy",
        f"{HEARS} --audio short.wav",
    ),
    "E0414.media": (
        f"{SEES} --image six.png --audio short.wav",
        f"{SEES} --image six.png",
    ),
    "E0414.token_files": (
        f"{ANALYZE} -t a,b,a,b --tokens-file tokens.txt",
        f"{ANALYZE} --tokens-file tokens.txt",
    ),
    "E0414.sample": (
        f"{READS} --links links_alone.jsonl",
        f"{READS} --links links.jsonl",
    ),
    "E0414.links": (
        f"{READS} --text a --links links_alone.jsonl",
        f"{READS} --text a --links links.jsonl",
    ),
    "E0414.names": ("analyze plain.npz -t a=a,b,c", "analyze plain.npz -t a,b,c"),
    "E0414.rows": ("analyze maps.npz --rows gates", "analyze maps.npz"),
    "E0414.texts": (f"{READS} --text a -t a", f"{READS} --text a"),
    "E0414.tokens": ("analyze maps.npz -t a,b,c", "analyze maps.npz"),
    "E0415": (
        "analyze alone/small.neural -b numpy --no-probe --text 'a b a b'",
        "analyze alone/small.neural -b numpy --no-probe -d ids.npy",
    ),
    "E0415.side": (
        "analyze alone/translator.neural --source-tokenizer ends.json --pair a b",
        "analyze alone/translator.neural -b numpy --tokenizer ends.json --pair a b",
    ),
    "E0417": ("visualize small.neural -f png -o o1", f"{DRAWS} -f png -o o1"),
    "E0418.maps": (
        f"{DRAWS} -o o2 --save-maps 'a folder'",
        f"{DRAWS} -o o2 --save-maps o2/m.npz",
    ),
    "E0418.library": (
        "compile small.neural -b numpy -o o3.py --library torch.py",
        "compile small.neural -b numpy -o o3.py --library layers.py",
    ),
    "E0419": ("analyze cut.npz", "analyze maps.npz"),
    "E0419.empty": ("analyze empty.npz", "analyze plain.npz"),
    "E0419.part": ("analyze --merge noise.json", "analyze --merge part.json"),
    "E0422": (f"{READS} --file pairs.jsonl", f"{READS} --file links.jsonl"),
    "E0422.line": (f"{READS} --links links_cut.jsonl", f"{READS} --links links.jsonl"),
    "E0422.count": (
        f"{ANALYZE} -d ids.npy --links links_two.jsonl",
        f"{ANALYZE} -d ids.npy --links links_alone.jsonl",
    ),
    "E0414.words": (
        f"{ANALYZE} --parse texts.conllu",
        f"{READS} --parse texts.conllu --text 'a b a b'",
    ),
    "E0422.conllu": (
        f"{READS} --text 'a b a b' --parse cut.conllu",
        f"{READS} --text 'a b a b' --parse texts.conllu",
    ),
    "E0422.parse": (
        f"{READS} --text 'a b a b' --parse other.conllu",
        f"{READS} --text 'a b a b' --parse texts.conllu",
    ),
    "E0435.weights": ("analyze weights.safetensors", "analyze plain.npz"),
    "E0436": (
        f"{ANALYZE} --tokens-file empty.txt",
        f"{ANALYZE} --tokens-file tokens.txt",
    ),
    "E0438": (f"{SEES} --image noise.png", f"{SEES} --image six.png"),
    "E0438.model": (f"{ANALYZE} --image six.png", ANALYZE),
    "E0438.text": (f"{SEES} --image six.png --text a", f"{SEES} --image six.png"),
    "E0438.sizes": (
        "analyze sized.neural -b numpy --no-probe --image six.png --image wide.png",
        "analyze sized.neural -b numpy --no-probe --image wide.png",
    ),
    "E0438.alone": (f"{SEES} --text a", f"{SEES} --image six.png"),
    "E0438.both": (f"{SHOWS} --image six.png", f"{SHOWS} --image six.png --text 'a b'"),
    "E0439.alone": (f"{SAYS} --text a", f"{SAYS} --audio short.wav --text a"),
    "E0439.texts": (
        f"{TALKS} --text a --text 'a b'",
        f"{TALKS} --text a --text 'a b' --batch-size 1",
    ),
    "E0439": (f"{HEARS} --audio noise.wav", f"{HEARS} --audio short.wav"),
    "E0439.lengths": (
        f"{HEARS} --audio short.wav --audio longer.wav",
        f"{HEARS} --audio short.wav",
    ),
    "E0439.model": (f"{ANALYZE} --audio short.wav", ANALYZE),
    "E0439.text": (f"{HEARS} --audio short.wav --text a", f"{HEARS} --audio short.wav"),
}


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laboratory")
    lay_out(folder)
    return folder


@pytest.mark.parametrize("name", FOLLOWED)
def test_a_hint_that_is_followed_mends_the_command(name, laboratory, monkeypatch):
    monkeypatch.chdir(laboratory)
    follow(name, *FOLLOWED[name])

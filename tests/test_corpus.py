"""The corpus: each valid file runs alike on all backends, each invalid one says why."""

import pytest
from neural_attn.grammar.format import format_text
from neural_attn.grammar.parser import decode, parse

from neural_attn.compile import check_file
from neural_attn.diagnostics.errors import NeuralError
from tests import corpus


def by_name(paths):
    return [pytest.param(path, id=path.stem) for path in paths]


def test_the_corpus_is_as_large_as_promised():
    assert len(corpus.VALID) >= 200
    assert len(corpus.INVALID) >= 140


@pytest.mark.parametrize("path", by_name(corpus.VALID))
def test_each_valid_file_formats_to_a_fixed_point_and_keeps_its_meaning(path):
    text = decode(path.read_bytes(), path.name)
    formatted = format_text(text)
    assert format_text(formatted) == formatted
    networks = parse(formatted, path.name).networks
    assert [n.name.text for n in networks] == [
        n.name.text for n in parse(text, path.name).networks
    ]


@pytest.mark.thorough(every=3)
@pytest.mark.parametrize("path", by_name(corpus.VALID))
def test_each_valid_file_gives_the_same_on_every_backend(
    path, available_backends, tmp_path
):
    networks, _ = check_file(path)
    assert networks
    for checked in networks:
        corpus.assert_backends_agree(checked, available_backends, tmp_path)


@pytest.mark.parametrize("path", by_name(corpus.INVALID))
def test_each_invalid_file_says_what_is_wrong_and_where(path):
    text = path.read_bytes().decode("utf-8", "replace")
    with pytest.raises(NeuralError) as caught:
        check_file(path)
    found = [
        (d.code, d.span.line, d.span.column) if d.span else (d.code, 0, 0)
        for d in caught.value.diagnostics
        if d.is_error
    ]
    assert corpus.announced(text)
    assert found == corpus.announced(text)


@pytest.mark.parametrize("path", by_name(corpus.WARNED))
def test_each_file_with_a_slip_is_accepted_with_a_word(path):
    _, warnings = check_file(path)
    found = [(d.code, d.span.line, d.span.column) for d in warnings if d.span]
    assert corpus.announced(path.read_text("utf-8"))
    assert found == corpus.announced(path.read_text("utf-8"))

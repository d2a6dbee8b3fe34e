"""The notebooks of examples/ run from first cell to last, and show something."""

from pathlib import Path

import pytest

NOTEBOOKS = sorted(
    (Path(__file__).resolve().parent.parent / "examples" / "notebooks").glob("*.ipynb")
)
NEEDED = {
    "keras_model": ["requires_tensorflow"],
    "minilm_sentences": ["requires_torch", "requires_transformers"],
    "own_pytorch_encoder": ["requires_torch"],
    "vision_model": ["requires_torch", "requires_transformers"],
}


@pytest.mark.thorough(but="own_pytorch_encoder")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, marks=[getattr(pytest.mark, m) for m in NEEDED[p.stem]])
        for p in NOTEBOOKS
    ],
    ids=lambda path: path.stem,
)
def test_a_notebook_runs(path, tmp_path, request):
    client = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    if path.stem == "minilm_sentences":
        request.getfixturevalue("minilm_dir")
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are big"
    where = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(notebook, timeout=300, resources=where).execute()
    shown = [
        kind
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        for kind in output.get("data", ())
    ]
    assert "image/png" in shown
    assert "text/html" in shown  # the explorer

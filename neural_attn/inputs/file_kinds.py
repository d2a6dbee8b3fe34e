"""What a file is that somebody gives for a network or its attention."""

from __future__ import annotations

from pathlib import Path

from neural_attn.diagnostics.errors import fail

__all__ = ["holds_arrays", "is_table", "refuse_others"]

ARRAYS = frozenset({".npz", ".npy", ".safetensors"})
TABLES = (".csv", ".tsv", ".xlsx", ".parquet")

_TORCH = "a file that PyTorch wrote"
_SAVE_MAPS = (
    "if it holds attention weights, save the tensors: "
    "safetensors.torch.save_file({name: tensor, …}, 'maps.safetensors')"
)
_CHECKPOINT = (
    "if it holds a model, give its .neural file, and this one with --checkpoint"
)
_IMPORT = "neural import takes the folder of a pretrained model"
_TABLE = (
    "a table, and weights are read from files of arrays",
    "save them as one array: np.save('maps.npy', weights), with --axes",
)
_PICTURE = ("a picture", "give a model's .neural file, and --image for the picture")
_KINDS = {
    ".pt": (_TORCH, f"{_SAVE_MAPS}; {_CHECKPOINT}"),
    ".pth": (_TORCH, f"{_SAVE_MAPS}; {_CHECKPOINT}"),
    ".ckpt": (_TORCH, f"{_SAVE_MAPS}; {_CHECKPOINT}"),
    ".bin": ("a file of weights", _IMPORT),
    ".pkl": ("a Python pickle, which could run any code", _SAVE_MAPS),
    ".pickle": ("a Python pickle, which could run any code", _SAVE_MAPS),
    ".joblib": ("a Python pickle, which could run any code", _SAVE_MAPS),
    ".h5": ("an HDF5 file, as Keras writes them", _SAVE_MAPS),
    ".hdf5": ("an HDF5 file, as Keras writes them", _SAVE_MAPS),
    ".keras": ("a model that Keras saved", _SAVE_MAPS),
    ".onnx": ("an ONNX model", _SAVE_MAPS),
    ".gguf": ("a GGUF file of weights", _IMPORT),
    **dict.fromkeys(TABLES, _TABLE),
    ".txt": (
        "a text",
        "texts go to a model: give its .neural file, and --file texts.txt",
    ),
    ".jsonl": (
        "a file of texts",
        "give a model's .neural file, and --file for the texts",
    ),
    ".html": ("a page", "neural extract PAGE -o maps.npz reads its weights back"),
    ".png": _PICTURE,
    ".jpg": _PICTURE,
    ".jpeg": _PICTURE,
    ".wav": ("a sound", "give a model's .neural file, and --audio for the sound"),
    ".py": ("Python code", "give the .neural file that it was compiled from"),
}
# first bytes, for files under other names
_MAGIC = {
    b"\x93NUMPY": ("a NumPy array", "call it .npy"),
    b"\x89HDF": _KINDS[".h5"],
    b"PK\x03\x04": ("an archive, such as .npz or .pt", "call it .npz if it is NumPy's"),
    b"\x80\x02": _KINDS[".pkl"],
    b"\x80\x03": _KINDS[".pkl"],
    b"\x80\x04": _KINDS[".pkl"],
    b"\x80\x05": _KINDS[".pkl"],
}


def holds_arrays(path: Path) -> bool:
    """Whether it is a file of arrays, by its name: attention, not a network."""
    return path.suffix.lower() in ARRAYS


def is_table(path: Path) -> bool:
    """Whether it is a table of numbers or texts, by its name."""
    return path.suffix.lower() in TABLES


def refuse_others(path: Path) -> None:
    """Raise NeuralError (E0435) for a file of a kind that is known and not read."""
    if path.suffix.lower() in ARRAYS | {".neural"}:
        return
    kind = _KINDS.get(path.suffix.lower()) or _by_content(path)
    if kind is not None and path.is_file():
        what, hint = kind
        fail("E0435", hint=hint, path=path, what=what)


def _by_content(path: Path) -> tuple[str, str] | None:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as stream:
            start = stream.read(8)
    except OSError:
        return None  # said where it is read
    return next(
        (kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None
    )

"""docs/language.md is what its generator makes of the catalogue as it is now."""

import runpy
from pathlib import Path

from neural_attn.language_help import entries

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_page_is_up_to_date():
    made = runpy.run_path(str(DOCS / "make_language.py"))["page"]()
    assert (DOCS / "language.md").read_text("utf-8") == made, (
        "run: python docs/make_language.py"
    )


def test_page_shows_every_layer_and_block():
    text = (DOCS / "language.md").read_text("utf-8")
    for name in entries():
        assert f"\n### {name}\n" in text


def test_nothing_of_the_template_is_left():
    text = (DOCS / "language.md").read_text("utf-8")
    for name in ("functions", "templates", "blocks", "layers"):
        assert f"{{{name}}}" not in text

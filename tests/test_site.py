"""The site has every page, and what is made of code is made of today's.

`.ci/run` builds it, where a broken link is an error.
"""

import re
import runpy

from docs.make_cli import PAGE, page
from tests.test_readme import ROOT


def test_every_page_has_its_place():
    told = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:")[2]
    named = re.findall(r": (\S+\.md)$", told, re.M)
    assert len(named) == len(set(named))
    pages = {"README.md"}
    for folder in ("docs", "examples"):
        found = (ROOT / folder).rglob("*.md")
        pages |= {str(path.relative_to(ROOT)) for path in found}
    assert set(named) == pages


def test_pictures_are_made_by_the_commands_on_their_pages():
    script = runpy.run_path(str(ROOT / "docs" / "make_pictures.py"))
    made = script["MADE"] | script["TRAINED"]
    for page_of_it, command, _, _ in made.values():
        text = (ROOT / page_of_it).read_text("utf-8").replace("\\\n", " ")
        assert f"neural {command}" in re.sub(" +", " ", text)
    kept = [*(ROOT / "docs" / "images").glob("*.png"), *ROOT.glob("examples/*/*.png")]
    assert {str(path.relative_to(ROOT)) for path in kept} == {*made, *script["DRAWN"]}


def test_the_reference_of_commands_is_up_to_date():
    assert PAGE.read_text("utf-8") == page(), "run python docs/make_cli.py"


def test_the_reference_of_python_names_all_that_is_public():
    from neural_attn import _PUBLIC

    text = (ROOT / "docs" / "reference" / "api.md").read_text("utf-8")
    named = set(re.findall(r"^::: (\S+)$", text, re.M))
    assert named == {f"{module}.{name}" for name, module in _PUBLIC.items()}

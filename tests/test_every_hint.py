"""No message with a hint is left without a test that follows it."""

from importlib import import_module
from pathlib import Path

from neural_attn.diagnostics.explanations import explanations

TABLES = [path.stem for path in Path(__file__).parent.glob("test_hints*.py")]
# message -> why a table cannot hold it, or which test follows it
ALONE = {
    "E0418.busy": "test_hints_of_calls: two runs, of which one ends",
    "E0502.pipeline": "test_relations: a name that is none, and one it says is there",
    "E0502.tagger": "test_analysis_texts: a pipeline without, and with",
    "E0502.parser": "test_relations: a pipeline without, and the one to download",
    "E0706": "test_trainer: a full disk, then --resume",
}
OUT_OF_REACH = {
    "E0124": "it would be a fault of ours: there is nothing to do but to report it",
    "E0440": "a full disk; that a call succeeds where there is room, all others show",
    "E0440.output": "likewise, behind the standard output",
    "E0503": "every backend of the project writes every layer of the project",
    "E0702.embedding": "check refuses ids that do not go to an Embedding first",
    "E0621.hub": "with the package installed the network is needed too",
    "E0624.version": "CTranslate2 itself would have to convert the model again",
}


def with_hints():
    """Every message that has a hint, and no example in its page to follow."""
    return {
        f"{code}.{key}" if key else code
        for code, page in explanations().items()
        for key, said in page.messages.items()
        if said.hint and not (page.wrong and page.right)
    }


def test_every_hint_is_followed_or_out_of_reach():
    tables = (import_module(f"tests.{name}").FOLLOWED for name in TABLES)
    followed = set(ALONE).union(*tables)
    assert with_hints() - followed == set(OUT_OF_REACH)

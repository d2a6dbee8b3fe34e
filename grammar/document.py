"""Text that knows where it may break: laid out within a width (Wadler, 2003).

A document is built from strings, `Line` (a space, or a line break where its group
does not fit) and the shapes below. Comments force breaks, and never share a line with
what comes after them.
"""

from __future__ import annotations

from collections.abc import Iterable

WIDTH = 88
STEP = 2


class Part:
    """A piece of a document; `forced` where it holds a line break in any case."""

    __slots__ = ("forced",)
    forced: bool


Doc = str | Part


def is_forced(doc: Doc) -> bool:
    """Whether a document cannot stand on one line."""
    return not isinstance(doc, str) and doc.forced


class Concat(Part):
    """One after another."""

    __slots__ = ("parts",)

    def __init__(self, *parts: Doc) -> None:
        self.parts = parts
        self.forced = any(map(is_forced, parts))


class Group(Part):
    """On one line where it fits; else each `Line` directly inside breaks."""

    __slots__ = ("content",)

    def __init__(self, content: Doc) -> None:
        self.content = content
        self.forced = is_forced(content)


class Indent(Part):
    """Lines that begin inside stand `levels` further to the right."""

    __slots__ = ("content", "levels")

    def __init__(self, content: Doc, levels: int = 1) -> None:
        self.content = content
        self.levels = levels
        self.forced = is_forced(content)


class Fill(Part):
    """As many of its items on each line as fit, a space between them.

    Lines after the first stand `hang` levels further to the right.
    """

    __slots__ = ("hang", "items")

    def __init__(self, items: Iterable[Doc], hang: int = 0) -> None:
        self.items = tuple(items)
        self.hang = hang
        self.forced = any(map(is_forced, self.items))

    def spaced(self, index: int) -> list[Doc]:
        """The items from `index` on, with the spaces between."""
        pieces: list[Doc] = []
        for number, item in enumerate(self.items[index:], index):
            pieces += [" ", item] if number else [item]
        return pieces


class _Rest(Part):
    """The items of a `Fill` from `index` on, while it is laid out."""

    __slots__ = ("fill", "index")

    def __init__(self, fill: Fill, index: int) -> None:
        self.fill = fill
        self.index = index
        self.forced = fill.forced


class Line(Part):
    """`flat` on one line, a line break otherwise."""

    __slots__ = ("flat",)

    def __init__(self, flat: str = " ") -> None:
        self.flat = flat
        self.forced = False


class Hard(Part):
    """A line break in any case, and `blanks` empty lines."""

    __slots__ = ("blanks",)

    def __init__(self, blanks: int = 0) -> None:
        self.blanks = blanks
        self.forced = True


class OwnLine(Part):
    """A comment on a line of its own, above what comes next."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text
        self.forced = True


class Trailing(Part):
    """A comment that waits for the end of the line it stands on."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text
        self.forced = True


_Task = tuple[int, bool, Doc]  # spaces at line breaks, whether lines break, what


def render(doc: Doc, width: int = WIDTH) -> str:
    """Lay a document out; ends with a line break unless it is empty."""
    return _Renderer(width).render(doc)


class _Renderer:
    def __init__(self, width: int) -> None:
        self.width = width
        self.out: list[str] = []
        self.column = 0
        self.at_start = True  # nothing stands on this line yet
        self.waiting: list[str] = []  # comments for the end of this line

    def render(self, doc: Doc) -> str:
        tasks: list[_Task] = [(0, True, doc)]
        while tasks:
            self._step(tasks)
        if not self.at_start:
            self._break(0)
        return "".join(self.out)

    def _step(self, tasks: list[_Task]) -> None:
        indent, broken, doc = tasks.pop()
        if isinstance(doc, Concat):
            tasks += [(indent, broken, part) for part in reversed(doc.parts)]
        elif isinstance(doc, Indent):
            tasks.append((indent + STEP * doc.levels, broken, doc.content))
        elif isinstance(doc, Group):
            flat = not doc.forced and self._fits(doc.content, tasks)
            tasks.append((indent, not flat, doc.content))
        elif isinstance(doc, Fill):
            self._next(doc, 0, (indent, broken, doc), tasks)
        elif isinstance(doc, _Rest):
            self._next(doc.fill, doc.index, (indent, broken, doc), tasks)
        else:
            self._leaf(doc, indent, broken)

    def _leaf(self, doc: Doc, indent: int, broken: bool) -> None:
        if isinstance(doc, str):
            self._write(doc, indent)
        elif isinstance(doc, Line):
            if broken:
                self._break(indent)
            else:
                self._write(doc.flat, indent)
        elif isinstance(doc, Hard):
            self._break(indent, doc.blanks)
        elif isinstance(doc, OwnLine):
            if not self.at_start:
                self._break(indent)
            self._write(doc.text, indent)
            self._break(indent)
        elif isinstance(doc, Trailing):
            self.waiting.append(doc.text)

    def _next(self, fill: Fill, index: int, task: _Task, tasks: list[_Task]) -> None:
        """One item of a `Fill`, on this line where it fits."""
        indent, broken, _ = task
        if index == len(fill.items):
            return
        item = fill.items[index]
        tasks.append((indent, broken, _Rest(fill, index + 1)))
        if index:
            indent += STEP * fill.hang
            spaced = Concat(" ", item)
            flat = not is_forced(item) and not self.waiting
            if not broken or (flat and self._fits(spaced, tasks)):
                self._write(" ", indent)
            else:
                self._break(indent)
        tasks.append((indent, False, Group(item)))

    def _write(self, text: str, indent: int) -> None:
        if not text:
            return
        if self.at_start:
            self.out.append(" " * indent)
            self.column = indent
            self.at_start = False
        self.out.append(text)
        self.column += len(text)

    def _break(self, indent: int, blanks: int = 0) -> None:
        if not self.at_start:
            self.out += [f"  {comment}" for comment in self.waiting]
            self.out.append("\n")
            self.waiting = []
        self.out.append("\n" * blanks)
        self.at_start = True
        self.column = indent

    def _fits(self, doc: Doc, rest: list[_Task]) -> bool:
        """Whether `doc` and what follows it up to a possible break fit on the line."""
        room = self.width - self.column
        inside: list[tuple[bool, Doc]] = [(False, doc)]
        behind = len(rest)
        while room >= 0:
            if not inside:
                if not behind:
                    return True
                behind -= 1
                inside.append((rest[behind][1], rest[behind][2]))
            broken, part = inside.pop()
            if isinstance(part, str):
                room -= len(part)
            elif isinstance(part, Hard | OwnLine) or (broken and _may_break(part)):
                return True
            elif isinstance(part, Line):
                room -= len(part.flat)
            else:
                inside += reversed(_pieces(part, broken))
        return False


def _may_break(part: Part) -> bool:
    """Whether a line may break here, inside what is broken."""
    if isinstance(part, _Rest):
        return 0 < part.index < len(part.fill.items)
    return isinstance(part, Line)


def _pieces(part: Part, broken: bool) -> list[tuple[bool, Doc]]:
    """What a part consists of, each with whether its lines break."""
    if isinstance(part, Concat):
        return [(broken, piece) for piece in part.parts]
    if isinstance(part, Fill):
        return [(False, piece) for piece in part.spaced(0)]
    if isinstance(part, _Rest):
        return [(False, piece) for piece in part.fill.spaced(part.index)]
    if isinstance(part, Group):
        return [(broken and part.forced, part.content)]
    return [(broken, part.content)] if isinstance(part, Indent) else []

"""An artefact as one text, to be handed in inside a notebook: the two files, compressed, in letters and digits."""

import ast
import base64
import binascii
import struct
import zlib
from pathlib import Path

from .artefact import GRAPH, LARGEST_FILE, WEIGHTS, Artefact, Refused, parsed_artefact, read_artefact
from .interpret import program_of

LARGEST_TEXT = 200_000  # characters
NAME = "artefact"  # what the notebook calls it


class ArtefactText(str):
    """An artefact's text. A notebook shows it in a small box from which it can be copied, not as 200 lines."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<an artefact's text of {len(self):,} characters: print it>"

    def _repr_html_(self) -> str:
        told = f"An artefact of {len(self):,} characters. Click into the box, select all (Ctrl + A), copy (Ctrl + C)."
        return f'<label>{told}<br><textarea readonly rows="3" cols="60" spellcheck="false">{self}</textarea></label>'


def pack(folder: str | Path) -> ArtefactText:
    """The artefact of a folder as one line of text. Raises Refused, as the grader would, for one that would not be accepted."""
    artefact = read_artefact(folder)
    program_of(artefact)
    return ArtefactText(base64.b64encode(zlib.compress(content_of(folder), 9)).decode("ascii"))


def unpack(text: object) -> Artefact:
    """The artefact that `pack` made a text of. Raises Refused for any other text; nothing in it is ever run."""
    return artefact_of(content_in(text))


def content_of(folder: str | Path) -> bytes:
    """Both files of a folder in one: the graph's length, the graph, the weights. Raises Refused for a folder that is no artefact."""
    read_artefact(folder)
    graph, weights = ((Path(folder) / name).read_bytes() for name in (GRAPH, WEIGHTS))
    return struct.pack("<I", len(graph)) + graph + weights


def content_in(text: object) -> bytes:
    """What `content_of` gave, from the text of `pack`. Raises Refused for a text that is too long, cut short or damaged."""
    if not isinstance(text, str) or not text.strip():
        raise Refused("there is no artefact's text; hand in what pack gives.")
    if len(text) > LARGEST_TEXT:
        raise Refused(f"the artefact's text has {len(text):,} characters; {LARGEST_TEXT:,} are allowed.")
    most = 4 + sum(LARGEST_FILE.values())
    try:
        squeezed = base64.b64decode("".join(text.split()), validate=True)
        unpacking = zlib.decompressobj()
        content = unpacking.decompress(squeezed, most + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise Refused(f"the artefact's text is damaged ({error}); run pack again and hand in all of it.") from None
    if len(content) > most or not unpacking.eof or unpacking.unused_data:
        raise Refused("the artefact's text is cut short, or holds more than an artefact; run pack again and hand in all of it.")
    return content


def artefact_of(content: bytes) -> Artefact:
    """The checked artefact of such a content. Raises Refused."""
    size = int.from_bytes(content[:4], "little")
    graph, weights = content[4 : 4 + size], content[4 + size :]
    if len(content) < 4 + size or len(graph) > LARGEST_FILE[GRAPH] or len(weights) > LARGEST_FILE[WEIGHTS]:
        raise Refused("a file of the artefact is cut short or too long; run pack again.")
    return parsed_artefact(graph, weights)


def text_in(source: str) -> object:
    """What a cell assigns to `artefact`, read and not run; None unless it does so once, with a value that is written out, or for a cell
    that is too long to be a hand-in.

    >>> text_in('artefact = "abc"'), text_in("artefact = pack('here')")
    ('abc', None)
    """
    if len(source) > 2 * LARGEST_TEXT:
        return None
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    named = [
        node.value
        for node in nodes
        if isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id == NAME for one in node.targets)
    ]
    return named[0].value if len(named) == 1 and isinstance(named[0], ast.Constant) else None

"""Pieces of a text as something that can be seen: signs for blanks, line ends and what has no shape."""

import unicodedata

BLANKS = {" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥", "\u00a0": "⍽"}
GOES_ON = "…"  # the token carries on a character that an earlier one began
PICTURES = 0x2400  # Unicode's pictures of the control characters below 0x20
DELETE = 0x7F


def shown_piece(piece: str) -> str:
    r"""One token as a reader can see it.

    >>> shown_piece(" the"), shown_piece("\n\n"), shown_piece("a\u202eb"), shown_piece("")
    ('␣the', '⏎⏎', 'a⟨U+202E⟩b', '…')
    """
    if not piece:
        return GOES_ON
    return "".join(map(shown_character, piece))


def shown_name(name: str) -> str:
    r"""A name, a path or a fact on one line, with its blanks, and nothing that would move a terminal's cursor.

    >>> shown_name("my \x1b[31mnotes\n")
    'my ␛[31mnotes⏎'
    """
    return "".join(character if character == " " else shown_character(character) for character in name)


def shown_character(character: str) -> str:
    """A character, or what stands for it: a text's own bidirectional and invisible signs would change the page around it."""
    if character in BLANKS:
        return BLANKS[character]
    code = ord(character)
    if code < 0x20:
        return chr(PICTURES + code)
    if code == DELETE:
        return "␡"
    if (
        unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp")
        or not character.isprintable()
    ):
        return f"⟨U+{code:04X}⟩"
    return character

"""Makes text from outside safe for one line of a terminal, a comment or a log."""


def printable(text: str) -> str:
    """Return a text in one line, with every invisible character escaped.

    Otherwise a line break or a terminal's control sequence in a name could forge or hide a line.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)

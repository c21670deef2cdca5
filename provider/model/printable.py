"""Text that others wrote, made fit for one line of a terminal, a comment or a workflow's log."""


def printable(text: str) -> str:
    """Return a text in one line, with an escape for each character that is not visible.

    A name with a line break or a terminal's control sequence could otherwise forge a line, or hide one.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)

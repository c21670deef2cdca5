"""Pure rules, without I/O: what green is, which targets it should have, which minutes count, how counts compare."""

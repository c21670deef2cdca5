"""Records of evidence, reasons, exceptions, and how evidence is shared: the vocabulary of all other rooms."""

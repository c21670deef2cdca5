"""The embedded AWS: moto speaks the protocols, our model decides the targets' states."""

"""The command `alb-provider`: `serve`, and `check` with the same answers as over HTTP."""

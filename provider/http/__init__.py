"""HTTP: routes, access, refusals and the OpenAPI description. Nothing here knows what a target is."""

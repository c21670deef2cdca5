"""What a person runs at a desk: preflight, forecast, conversion, warm-up. Nothing here answers Argo."""

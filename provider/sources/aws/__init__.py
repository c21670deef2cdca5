"""AWS: the only room that knows boto3. It reads target groups, target health and metrics, and spends few calls."""

"""The gunicorn server: settings, worker, client sockets and TLS."""

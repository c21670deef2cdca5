"""What a question costs: `make bench` measures the provider beside the straightforward way and beside the floor.

Every way is a real client of two stand-ins in processes of their own, which answer prepared bytes after an adjustable
latency. The demo's embedded world would not do: there a third of the time is moto's.
"""

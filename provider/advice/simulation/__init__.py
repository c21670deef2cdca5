"""A switch second by second: the load balancer's target states, pods with a queue, and what users get.

Pure and seeded: no clock, no network. The embedded AWS of the demo and of the tests has its target states from here.
"""

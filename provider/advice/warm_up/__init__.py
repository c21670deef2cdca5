"""Warms green up before the switch: real requests through the preview rule, until it is as fast as blue.

`plan` is what is sent and how fast, `hosts` where it may be sent; `sending` sends, `measured` judges response times.
"""

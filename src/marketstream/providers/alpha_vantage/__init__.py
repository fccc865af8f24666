"""Alpha Vantage: it has no stream, so its bars are polled, within the plan's burst limit and daily quota.

Its REST API refuses with HTTP 200 and a sentence. Intraday bars are for paying plans, real-time ones for some of them:
a free key is told so, which is the fault `plan`.
"""

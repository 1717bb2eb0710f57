"""Running a pipeline over any number of texts, on one machine or on a Ray cluster.

In: files of any format, in `inputs`, cut into `chunks`. Out: one shard per chunk, made by a `worker`. `ledger` records
what is done, so that an interrupted run can be resumed. Nothing here knows how models work.
"""

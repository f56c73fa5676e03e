"""Watching runs by their journals: what changed is read, judged by a table, and told.

Also what is left where a journal's holder is gone: finding it, watching it, and writing how it ended.
"""

"""The supervisor of a host, its zygote and its shims: starting programs and seeing them to their end."""

"""The services: manager, scheduler, supervisor and store, each a process of its own."""

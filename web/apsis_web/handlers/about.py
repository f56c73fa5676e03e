"""Whether it is up, what it is, and how it feels."""

from apsis import __version__
from apsis_web.handlers.resource import Resource


class Alive(Resource):
    """GET /alive: this process answers."""

    public = True

    def get(self) -> None:
        """Say so; needs no login, and tells nothing else."""
        self.send({"alive": True})


class Version(Resource):
    """GET /version."""

    def get(self) -> None:
        """Return version, instance and home."""
        cache = self.site.cache
        self.send(
            {
                "version": __version__,
                "instance": cache.instance if cache.loaded else None,
                "home": str(self.site.home.root),
            }
        )


class HealthReport(Resource):
    """GET /health: the checks; the status is 200 whatever they found, as the answer itself is good."""

    async def get(self) -> None:
        """Return the checks and the findings; with `examine=1` the records are examined now."""
        given = self.arguments_of("examine")
        health = self.site.health
        self.send(await (health.examine() if given.get("examine") in ("1", "true") else health.look()))


class Stats(Resource):
    """GET /stats: figures."""

    def get(self) -> None:
        """Return runs by state, and what this process holds."""
        cache = self.site.cache
        cache.require()
        self.send(
            {
                "seq": cache.seq,
                "counts": cache.counts(self.now),
                "jobs": len(cache.jobs),
                "cached_runs": len(cache.rows),
                "websockets": len(self.site.sockets),
            }
        )

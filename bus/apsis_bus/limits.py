"""The numbers of the bus: how large, how many, how long. `docs/bus.md` states them for people."""

from typing import Final

MIB: Final = 1024 * 1024

#: bytes of one frame; ZeroMQ cuts the connection of whoever sends a larger one
MAX_FRAME: Final = MIB
#: bytes of the body of a published message
MAX_PUBLISHED: Final = 16 * 1024
#: bytes of one subscription
MAX_SUBSCRIPTION: Final = 4096
#: frames of one message, the routing id not counted
MAX_FRAMES: Final = 6
#: bytes of `to`: a name, or a topic; a longer one would come back in each refusal
MAX_TO: Final = MAX_SUBSCRIPTION
#: bytes of what a client may send in one message: it asks, and questions are short
MAX_ASKED: Final = 16 * 1024

#: messages queued for one peer before it is `busy` (ROUTER) or misses some (XPUB)
QUEUE: Final = 10_000
#: the same on the bulk router, where a message may be 1 MiB
BULK_QUEUE: Final = 32
#: bytes sent to one peer on the control router that it has not yet confirmed to have read; then it is `busy`
UNREAD: Final = 64 * MIB
#: bytes after which the hub asks a peer to confirm what it has read
CONFIRM_EACH: Final = 4 * MIB
#: messages taken from one connection before the hub has looked at them; then the kernel holds its sender back
AHEAD: Final = 256
#: clients present at a time; one more is `busy`
CLIENTS: Final = 1_000

#: seconds between a peer's heartbeats to the hub
HEARTBEAT: Final = 5.0
#: seconds without an answer after which a peer thinks its hub is lost
SILENCE: Final = 15.0
#: seconds after which the hub forgets a peer that says nothing
FORGET: Final = 60.0
#: milliseconds that a socket which is closed may take to send what it still holds
LINGER: Final = 200

#: bytes of a path in an ipc address; the kernel's limit is 107
MAX_IPC_PATH: Final = 100

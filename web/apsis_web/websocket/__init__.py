"""The websocket, as `docs/websocket.md` has it: subscriptions of which each sends the newest when its turn has come."""

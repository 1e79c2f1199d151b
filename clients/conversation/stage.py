"""Where a subject is played: a running server, and the people who take part."""

from .actor import Actor, together
from .server import Server


class Stage:
    """The people of one subject. Their accounts carry its name, so that subjects can be played at once."""

    def __init__(self, server: Server, subject: str):
        self.server = server
        self.subject = subject
        self.people: list[Actor] = []

    async def enter(self, *people: Actor) -> tuple[Actor, ...]:
        """Registers these people and lets them sync."""
        for actor in people:
            if not actor.of:
                actor.localpart = f"{actor.localpart}.{self.subject}"
            self.people.append(actor)
        await together(actor.enter(self.server) for actor in people)
        return people

    async def leave(self) -> None:
        """Logs everybody out."""
        await together(actor.log_out() for actor in self.people)

    async def end(self) -> None:
        """Ends every client, whatever state it is in."""
        await together(actor.end() for actor in self.people)

    def alias(self, localpart: str) -> str:
        """The localpart of an alias that no other subject has."""
        return f"{localpart}.{self.subject}"

    def show_logs(self, bytes_max: int) -> None:
        """Prints what the clients wrote, who keep a log."""
        for actor in self.people:
            log = self.server.folder / f"{actor.localpart}.log"
            if log.exists():
                print(f"--- {actor.name}:\n{log.read_text()[-bytes_max:]}")

"""What platforms post to us: handed to the connector whose address it is, which alone knows whether it is genuine."""

from starlette.requests import Request
from starlette.responses import Response

from teehee.connector import Posted
from teehee.gate.web.api import body


class Hooks:
    """The connectors that wait for posts, by (slug, source)."""

    def __init__(self) -> None:
        self.posted: dict[tuple[str, str], Posted] = {}

    async def post(self, request: Request) -> Response:
        """POST /hooks/{agent}/{source}: the connector's own status; 404 where none waits."""
        hook = self.posted.get((request.path_params["agent"], request.path_params["source"]))
        if hook is None:
            return Response(status_code=404)
        headers = {name.lower(): value for name, value in request.headers.items()}
        return Response(status_code=await hook(headers, await body(request)))

"""Why a request is refused."""

from http import HTTPStatus


class RefusedError(Exception):
    """The request is refused with a status; the text says why. With ``retry`` the client may send it again."""

    def __init__(self, status: HTTPStatus, text: str, *, retry: bool = False) -> None:
        super().__init__(text)
        self.status = status
        self.retry = retry


class BadRequestError(RefusedError):
    """The body is not what it should be, or has too much of it."""

    def __init__(self, text: str, *, too_large: bool = False) -> None:
        super().__init__(HTTPStatus.REQUEST_ENTITY_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST, text)

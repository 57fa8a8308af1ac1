"""An agent of your own, recorded: a session around it and a decorator on its tools."""

import acode_tui


@acode_tui.tool
def read_file(path: str) -> str:
    with open(path) as file:
        return file.read()


with acode_tui.recorder.session("Add validation"):
    read_file("login.ts")

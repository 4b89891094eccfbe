"""Run a program that must not outlive the demo: the kernel signals it when its parent dies, even by kill -9.

Started by path, as `python -I tether.py PARENT SIGNAL UID:GID PROGRAM ARGUMENTS…` (`-` for no change of user), so that
nothing of the product is imported. Standard library only.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become PROGRAM. Where the system has no such promise (not Linux), the demo's own clean-up has to do."""
    parent, number, user, *command = arguments
    if user != "-":
        uid, gid = (int(part) for part in user.split(":"))
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        # After the change of user: the kernel forgets the promise when credentials change.
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != int(parent):
            sys.exit("the demo ended before this program began")
    os.execv(command[0], command)  # noqa: S606 - a list, no shell; this process becomes the program


if __name__ == "__main__":
    main(sys.argv[1:])

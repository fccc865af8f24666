"""Becomes a supervised process: ties its life to its parent's, gives up root if told to, then executes it.

Run as a script, by path, with nothing but the standard library, so that it costs a few milliseconds:
`guard.py DEATH_SIGNAL PARENT_PID AS COMMAND...`. `AS` is `self`, `user:UID:GID`, or `namespace:UID` for a user
namespace in which this very user carries another number. The order matters: changing credentials clears the
parent-death signal, so that signal is asked for last.
"""

import ctypes
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


def guarded(command: list[str], *, death_signal: int, run_as: str = "self") -> list[str]:
    """The command line that runs `command` as a child of this process that does not outlive it.

    Args:
        command: What to execute.
        death_signal: The signal it gets when this process dies, however it dies (Linux; elsewhere none).
        run_as: `self`, `user:UID:GID` or `namespace:UID`.
    """
    return [sys.executable, "-I", "-S", __file__, str(death_signal), str(os.getpid()), run_as, *command]


def enter_namespace(uid: int) -> None:
    """Moves into a new user namespace where the current user and group are both `uid`.

    Raises:
        OSError: The kernel or the container forbids user namespaces.
    """
    own_uid, own_gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "user namespaces are not allowed here")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {own_uid} 1")
    Path("/proc/self/gid_map").write_text(f"{uid} {own_gid} 1")


def _become(run_as: str) -> None:
    kind, *numbers = run_as.split(":")
    if kind == "namespace":
        enter_namespace(int(numbers[0]))
    elif kind == "user":
        uid, gid = map(int, numbers)
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def main(arguments: list[str]) -> None:
    """Never returns: executes the command or raises."""
    death_signal, parent, run_as, *command = arguments
    _become(run_as)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(death_signal))
        if os.getppid() != int(parent):  # it died before the signal was asked for
            sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606  # no shell wanted: the command is an argument list


if __name__ == "__main__":
    main(sys.argv[1:])

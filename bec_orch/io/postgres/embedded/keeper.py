"""The keeper of the embedded PostgreSQL: starts the server, and stops it when its last user is gone.

A program of its own, which no signal to a user's process or terminal ends: `keeper.py USERS RECORD UID GID COMMAND...`.
USERS is the file of which each user holds the lock shared; the system drops the lock of one that is killed, so the
keeper has it alone as soon as nobody is left. RECORD is the open file that says where the server runs, locked for as
long as the keeper lives, and emptied when the server ended in order. What else it inherits open is for the server,
above all the lock that says that one runs.

Every local command waits for it, so it imports next to nothing.
"""

import _thread
import fcntl
import os
import resource
import signal
import sys
import time

FAST = signal.SIGINT
"""The signal by which a server shuts down now, and in order."""

# After a fast shutdown an immediate one, which leaves the next start to recover, and then the end of it.
_STOPS = ((FAST, 60.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 0.0))
# What the server may open, where the system's hard limit allows it: its own default for one process.
_OPEN_FILES = 1024
_DEAF_TO = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> None:
    """Leave the process that started this one, then keep the server to its end."""
    users, record, uid, gid, *command = sys.argv[1:]
    if os.fork():
        os._exit(0)
    for number in _DEAF_TO:
        signal.signal(number, signal.SIG_IGN)
    os.set_inheritable(int(record), False)
    server = os.fork()
    if server == 0:
        _become_the_server(int(uid), int(gid), command)
    _thread.start_new_thread(_stop_when_unused, (users, server))
    _, status = os.waitpid(server, 0)
    if status == 0:
        os.ftruncate(int(record), 0)
    os._exit(0)


def _become_the_server(uid: int, gid: int, command: list[str]) -> None:
    try:
        for number in (*_DEAF_TO, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        enough = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < enough:
            resource.setrlimit(resource.RLIMIT_NOFILE, (enough, hard))
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        os.execv(command[0], command)  # nosec B606  # noqa: S606  (the program lies in the installed wheel)
    except OSError as error:
        sys.stderr.write(f"FATAL:  {command[0]}: {error.strerror}\n")
    finally:
        os._exit(127)


def _stop_when_unused(users: str, server: int) -> None:
    with open(users, "ab+") as file:  # noqa: PTH123  (pathlib takes as long to import as all the rest)
        fcntl.flock(file, fcntl.LOCK_EX)
        # Held to the end: nobody comes in while the server stops.
        for number, patience in _STOPS:
            os.kill(server, number)
            time.sleep(patience)


if __name__ == "__main__":
    main()

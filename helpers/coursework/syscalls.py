"""A filter of system calls for a student's process, in the form that Linux's seccomp reads.

It closes the ways past the limits of one process and past the namespaces: other processes, memory that counts
for nobody, keyrings that outlive the process, and sockets. Everything else is allowed.
https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html
"""

import errno
import struct

# Machine -> its number in seccomp's data, and the numbers of system calls (asm/unistd.h).
MACHINES: dict[str, tuple[int, dict[str, int]]] = {
    "x86_64": (
        0xC000003E,
        {
            "mmap": 9,
            "shmget": 29,
            "socket": 41,
            "clone": 56,
            "fork": 57,
            "vfork": 58,
            "semget": 64,
            "msgget": 68,
            "ptrace": 101,
            "mq_open": 240,
            "add_key": 248,
            "request_key": 249,
            "keyctl": 250,
            "unshare": 272,
            "perf_event_open": 298,
            "setns": 308,
            "memfd_create": 319,
            "bpf": 321,
            "userfaultfd": 323,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "unshare": 97,
            "ptrace": 117,
            "mq_open": 180,
            "msgget": 186,
            "semget": 190,
            "shmget": 194,
            "socket": 198,
            "add_key": 217,
            "request_key": 218,
            "keyctl": 219,
            "clone": 220,
            "mmap": 222,
            "perf_event_open": 241,
            "setns": 268,
            "memfd_create": 279,
            "bpf": 280,
            "userfaultfd": 282,
        },
    ),
}
EVERYWHERE = {"io_uring_setup": 425, "clone3": 435, "memfd_secret": 447}
X32 = 0x40000000  # from here on x86_64 counts its calls a second time

CLONE_THREAD = 0x10000
MAP_SHARED, MAP_GROWSDOWN = 0x001, 0x100  # such mappings do not count as the process's data

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # instructions of BPF
NUMBER, MACHINE, ARGUMENTS = 0, 4, 16  # offsets in seccomp's data
ALLOW, KILL = 0x7FFF0000, 0x80000000


def _refuse(code: int) -> bytes:
    return _instruction(RETURN, 0x00050000 | code)


def _instruction(operation: int, operand: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """Encode one instruction; the last two say how many to skip."""
    return struct.pack("=HBBI", operation, if_true, if_false, operand)


def _argument(number: int) -> bytes:
    """Load the lower half of an argument; both machines are little-endian."""
    return _instruction(LOAD, ARGUMENTS + 8 * number)


def program(machine: str) -> bytes:
    """Return the filter for one kind of machine.

    Args:
        machine: as `platform.machine()` names it.

    Returns:
        The instructions, as `bwrap --seccomp` reads them.

    Raises:
        KeyError: if the numbers of this machine's system calls are not known here.
    """
    machine_number, known = MACHINES[machine]
    numbers = known | EVERYWHERE
    clone, mmap, clone3 = (numbers.pop(name) for name in ("clone", "mmap", "clone3"))
    parts = [
        _instruction(LOAD, MACHINE),
        _instruction(EQUAL, machine_number, if_true=1),
        _instruction(RETURN, KILL),
        _instruction(LOAD, NUMBER),
        _instruction(AT_LEAST, X32, if_false=1),
        _refuse(errno.EPERM),
        # Its flags lie in memory, out of a filter's reach. The C library then uses clone.
        _instruction(EQUAL, clone3, if_false=1),
        _refuse(errno.ENOSYS),
    ]
    for number in numbers.values():
        parts += [_instruction(EQUAL, number, if_false=1), _refuse(errno.EPERM)]
    parts += [
        _instruction(EQUAL, clone, if_false=4),  # threads may be made, processes not
        _argument(0),
        _instruction(ANY_BIT, CLONE_THREAD, if_false=1),
        _instruction(RETURN, ALLOW),
        _refuse(errno.EPERM),
        _instruction(EQUAL, mmap, if_false=3),
        _argument(3),
        _instruction(ANY_BIT, MAP_SHARED | MAP_GROWSDOWN, if_false=1),
        _refuse(errno.EPERM),
        _instruction(RETURN, ALLOW),
    ]
    return b"".join(parts)

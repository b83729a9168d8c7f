"""The filter of system calls, run by a small interpreter of its instructions."""

import errno
import struct

import pytest

from helpers.coursework import syscalls

ALLOWED, KILLED = 0x7FFF0000, 0x80000000
# From asm/unistd.h of each machine.
NAMES = ["read", "execve", "futex", "openat", "socketpair", "mmap"]
NAMES += ["clone", "keyctl", "add_key", "memfd_create", "unshare", "shmget"]
CALLS = {
    "x86_64": dict(zip(NAMES, (0, 59, 202, 257, 53, 9, 56, 250, 248, 319, 272, 29), strict=True))
    | {"fork": 57, "vfork": 58},
    "aarch64": dict(zip(NAMES, (63, 221, 98, 56, 199, 222, 220, 219, 217, 279, 97, 194), strict=True)),
}


def verdict(program, machine, number, *arguments):
    """What the filter answers to a system call."""
    data = struct.pack("=IIQ6Q", number, machine, 0, *arguments, *[0] * (6 - len(arguments)))
    instructions = list(struct.iter_unpack("=HBBI", program))
    place = value = 0
    while True:
        operation, if_true, if_false, operand = instructions[place]
        place += 1
        if operation == syscalls.LOAD:
            (value,) = struct.unpack_from("=I", data, operand)
        elif operation == syscalls.RETURN:
            return operand
        else:
            holds = {
                syscalls.EQUAL: value == operand,
                syscalls.AT_LEAST: value >= operand,
                syscalls.ANY_BIT: bool(value & operand),
            }[operation]
            place += if_true if holds else if_false


def refused(code):
    return 0x00050000 | code


@pytest.mark.parametrize("machine", CALLS)
def test_what_is_refused_and_what_is_not(machine):
    calls, own = CALLS[machine], syscalls.MACHINES[machine][0]

    def answer(name, *arguments):
        return verdict(syscalls.program(machine), own, calls[name], *arguments)

    for name in ("read", "execve", "futex", "openat", "socketpair"):
        assert answer(name) == ALLOWED, name
    for name in calls.keys() - {"read", "execve", "futex", "openat", "socketpair", "clone", "mmap"}:
        assert answer(name) == refused(errno.EPERM), name
    thread, process = 0x003D0F00, 0x01200011  # flags as the C library sets them
    assert answer("clone", thread) == ALLOWED
    assert answer("clone", process) == refused(errno.EPERM)
    private, shared, downwards = 0x22, 0x21, 0x122
    assert answer("mmap", 0, 4096, 3, private) == ALLOWED
    assert answer("mmap", 0, 4096, 3, shared) == answer("mmap", 0, 4096, 3, downwards) == refused(errno.EPERM)
    assert verdict(syscalls.program(machine), own, 435) == refused(errno.ENOSYS), "clone3"


def test_a_second_way_to_number_the_calls_is_closed():
    program = syscalls.program("x86_64")
    assert verdict(program, syscalls.MACHINES["aarch64"][0], 63) == KILLED
    assert verdict(program, 0x40000003, 20) == KILLED, "the calls of 32-bit programs"
    assert verdict(program, syscalls.MACHINES["x86_64"][0], 0x40000000 | 57) == refused(errno.EPERM)

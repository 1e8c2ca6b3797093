"""Which machines there are releases for, and what is asked of a program that is for one."""

import struct

from .refusal import Refused

# Of the machines in an ELF header: how images and archives call it, and how Rust does.
MACHINES = {62: ("amd64", "x86_64-unknown-linux-gnu"), 183: ("arm64", "aarch64-unknown-linux-gnu")}
TARGETS = dict(MACHINES.values())
PLATFORMS = [f"linux/{architecture}" for architecture in TARGETS]
INTERPRETER = 3


def architecture_of(path, program):
    """By the ELF header; a program that needs a loader would not start in an image without one."""
    if program[:6] != b"\x7fELF\x02\x01":
        raise Refused(f"{path} is no 64-bit program for Linux")
    machine, = struct.unpack_from("<H", program, 18)
    headers, = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<HH", program, 54)
    kinds = [struct.unpack_from("<I", program, headers + i * size)[0] for i in range(count)]
    if INTERPRETER in kinds:
        raise Refused(f"{path} needs shared libraries, which the image has not; build it with `make static`")
    if machine not in MACHINES:
        raise Refused(f"{path} is for a machine that no image is made for (ELF machine {machine})")
    return MACHINES[machine][0]

"""How large a program may be: every node of a cluster pulls it, so it may not grow unnoticed."""

from .refusal import Refused

MOST_MIB = 30


def keep_small(what, program, most_mib=MOST_MIB):
    if len(program) > most_mib << 20:
        raise Refused(f"{what} has {len(program) / (1 << 20):.1f} MiB, of which {most_mib} are allowed: build it with "
                      "`make static`; if it is that, see with `cargo tree` what came in since the last release")

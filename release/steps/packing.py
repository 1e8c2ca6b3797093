"""Archives whose bytes depend on their contents alone: sorted, owned by root, of one time."""

import gzip
import hashlib
import io
import tarfile


def archive_of(entries, seconds):
    """A tar of entries (path, content or None for a folder, mode)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path, content, mode in sorted(entries):
            info = tarfile.TarInfo(path)
            info.mtime, info.mode = seconds, mode
            if content is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
            elif isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def compressed(content, level=9):
    """As `gzip` does it, without a name or a time."""
    return gzip.compress(content, compresslevel=level, mtime=0)


def repacked(archive, seconds):
    """A compressed tar that another program made, without the time at which it did."""
    entries = []
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
        for info in tar:
            entries.append((info.name, tar.extractfile(info).read(), 0o644))
    return compressed(archive_of(entries, seconds))


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()

"""Images as OCI layouts in a tar, with the manifest.json of `docker save` where there is one platform alone."""

import json

from .packing import archive_of, digest_of

PROGRAM = "/usr/local/bin/bywash"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
USER = "65532:65532"
PORTS = ["8080/tcp", "8443/tcp", "9090/tcp"]
MEDIA = "application/vnd.oci.image."


class Image:
    """The image of one architecture: its blobs, and the descriptor of its manifest."""

    def __init__(self, architecture, program, certificates, labels, seconds):
        self.architecture, self.labels, self.seconds = architecture, labels, seconds
        self.blobs = {}
        layer = layer_of(program, certificates, seconds)
        self.config = self._blob("config.v1+json", encoded(self._configuration(layer)))
        self.layers = [self._blob("layer.v1.tar", layer)]
        self.manifest = self._blob("manifest.v1+json", encoded({
            "schemaVersion": 2, "mediaType": MEDIA + "manifest.v1+json",
            "config": self.config, "layers": self.layers, "annotations": labels}))

    def _blob(self, kind, content):
        self.blobs[digest_of(content)] = content
        return {"mediaType": MEDIA + kind, "digest": digest_of(content), "size": len(content)}

    def _configuration(self, layer):
        created = self.labels["org.opencontainers.image.created"]
        return {
            "architecture": self.architecture,
            "config": {
                "Cmd": ["run"],
                "Entrypoint": [PROGRAM],
                "Env": ["PATH=" + PROGRAM.rsplit("/", 1)[0]],
                "ExposedPorts": {port: {} for port in PORTS},
                "Labels": self.labels,
                "User": USER,
            },
            "created": created,
            "history": [{"created": created, "created_by": "release/image"}],
            "os": "linux",
            "rootfs": {"diff_ids": [digest_of(layer)], "type": "layers"},
        }

    def archive(self, name):
        """For engines of both kinds."""
        docker = [{"Config": blob_path(self.config["digest"]), "RepoTags": [name],
                   "Layers": [blob_path(layer["digest"]) for layer in self.layers]}]
        return layout(name, self.manifest, self.blobs, self.seconds, [("manifest.json", encoded(docker), 0o644)])


def index_of(images, name):
    """One name for the images of all architectures: the archive, and the digest of that name."""
    manifests = [image.manifest | {"platform": {"architecture": image.architecture, "os": "linux"}} for image in images]
    content = encoded({"schemaVersion": 2, "mediaType": MEDIA + "index.v1+json", "manifests": manifests,
                       "annotations": images[0].labels})
    descriptor = {"mediaType": MEDIA + "index.v1+json", "digest": digest_of(content), "size": len(content)}
    blobs = {descriptor["digest"]: content}
    for image in images:
        blobs |= image.blobs
    return layout(name, descriptor, blobs, images[0].seconds), descriptor["digest"]


def layout(name, descriptor, blobs, seconds, more=()):
    tag = name.rsplit(":", 1)[1]
    named = descriptor | {
        "annotations": {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": tag}}
    index = {"schemaVersion": 2, "mediaType": MEDIA + "index.v1+json", "manifests": [named]}
    entries = [("blobs", None, 0o755), ("blobs/sha256", None, 0o755),
               ("oci-layout", encoded({"imageLayoutVersion": "1.0.0"}), 0o644),
               ("index.json", encoded(index), 0o644), *more]
    entries += [(blob_path(digest), content, 0o644) for digest, content in blobs.items()]
    return archive_of(entries, seconds)


def layer_of(program, certificates, seconds):
    files = {PROGRAM[1:]: (program, 0o755), CERTIFICATES[1:]: (certificates, 0o644)}
    folders = ["etc", "etc/ssl", "etc/ssl/certs", "usr", "usr/local", "usr/local/bin"]
    return archive_of([(folder, None, 0o755) for folder in folders]
                      + [(path, content, mode) for path, (content, mode) in files.items()], seconds)


def labels_of(package, created, revision):
    return {
        "org.opencontainers.image.created": created,
        "org.opencontainers.image.description": package["description"],
        "org.opencontainers.image.licenses": package["license"],
        "org.opencontainers.image.revision": revision,
        "org.opencontainers.image.title": package["name"],
        "org.opencontainers.image.version": package["version"],
    }


def blob_path(digest):
    return "blobs/" + digest.replace(":", "/")


def encoded(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()

"""Reads a vault's audit log as anybody can who knows the C2SP formats, and checks it: nothing here comes from the vault's code.

    tlog_client.py SOURCE VKEY [OLD_CHECKPOINT]

SOURCE is http://HOST:PORT, or https://HOST:PORT (with the variables LACUNA_CA, LACUNA_CERT, LACUNA_KEY), or the folder of an
export. VKEY is the log's verifier key. OLD_CHECKPOINT is a checkpoint kept from earlier: the log must still begin with it.
Formats: https://c2sp.org/tlog-tiles, https://c2sp.org/tlog-checkpoint, https://c2sp.org/signed-note, RFC 6962.
"""

import base64
import hashlib
import http.client
import os
import pathlib
import ssl
import sys
import urllib.parse

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha256(data):
    return hashlib.sha256(data).digest()


def leaf_hash(leaf):
    return sha256(b"\x00" + leaf)


def node_hash(left, right):
    return sha256(b"\x01" + left + right)


def fold(hashes):
    """The root over a power of two of hashes."""
    while len(hashes) > 1:
        hashes = [node_hash(*hashes[i:i + 2]) for i in range(0, len(hashes), 2)]
    return hashes[0]


class Key:
    """A verifier key: name+hash+base64(0x01 || Ed25519 public key)."""

    def __init__(self, text):
        self.name, number, encoded = text.split("+", 2)
        typed = base64.b64decode(encoded, validate=True)
        assert typed[0] == 1 and len(typed) == 33, "not an Ed25519 verifier key"
        self.id = sha256(self.name.encode() + b"\n" + typed)[:4]
        assert self.id.hex() == number, "the key's number does not fit the key"
        self.public = Ed25519PublicKey.from_public_bytes(typed[1:])


def open_note(note, key):
    """The text of a signed note; raises unless the key has signed it."""
    end = note.rindex(b"\n\n") + 1
    text, signed = note[:end], False
    for line in note[end + 1:].decode().splitlines():
        dash, name, encoded = line.split(" ")
        signature = base64.b64decode(encoded, validate=True)
        if dash == "\u2014" and name == key.name and signature[:4] == key.id:
            key.public.verify(signature[4:], text)
            signed = True
    assert signed, "the note is not signed by the key"
    return text.decode()


def open_checkpoint(note, key):
    """(size, root) of a checkpoint by the log whose name is the key's."""
    origin, size, root = open_note(note, key).split("\n")[:3]
    assert origin == key.name and str(int(size)) == size
    return int(size), base64.b64decode(root, validate=True)


def tile_path(level, index, width):
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    return f"tile/{level}/{'/'.join(groups)}" + (f".p/{width}" if width < 256 else "")


class Source:
    """Where the files are: a server, or a folder."""

    def __init__(self, place):
        url = urllib.parse.urlsplit(place)
        self.folder = pathlib.Path(place) if url.scheme not in ("http", "https") else None
        if url.scheme == "https":
            context = ssl.create_default_context(cafile=os.environ["LACUNA_CA"])
            context.load_cert_chain(os.environ["LACUNA_CERT"], os.environ["LACUNA_KEY"])
            self.connection = http.client.HTTPSConnection(url.netloc, context=context)
        elif url.scheme == "http":
            self.connection = http.client.HTTPConnection(url.netloc)

    def get(self, path):
        if self.folder:
            return (self.folder / path).read_bytes()
        self.connection.request("GET", "/" + path)
        answer = self.connection.getresponse()
        body = answer.read()
        assert answer.status == 200, f"{path}: {answer.status}"
        return body


class Tree:
    """A log of a size: its hashes out of tiles, each of which is fetched once."""

    def __init__(self, source, size):
        self.source, self.size, self.tiles = source, size, {}

    def tile(self, level, index):
        if (level, index) not in self.tiles:
            width = min(256, (self.size >> 8 * level) - 256 * index)
            data = self.source.get(tile_path(level, index, width))
            assert len(data) == 32 * width
            self.tiles[level, index] = [data[i:i + 32] for i in range(0, len(data), 32)]
        return self.tiles[level, index]

    def subtree(self, height, index):
        """The hash of the index-th complete subtree over 2^height leaves."""
        level, within = divmod(height, 8)
        first = index << within
        hashes = self.tile(level, first >> 8)[first & 255:(first & 255) + (1 << within)]
        assert len(hashes) == 1 << within
        return fold(hashes)

    def root(self, begin=0, end=None):
        """MTH(D[begin:end]) of RFC 6962, section 2.1."""
        end = self.size if end is None else end
        if end - begin == 0:
            return sha256(b"")
        if end - begin == 1 << (end - begin).bit_length() - 1:
            height = (end - begin).bit_length() - 1
            return self.subtree(height, begin >> height)
        middle = begin + (1 << (end - begin - 1).bit_length() - 1)
        return node_hash(self.root(begin, middle), self.root(middle, end))

    def inclusion(self, index, begin=0, end=None):
        """PATH(index, D[begin:end]) of RFC 6962, section 2.1.1."""
        end = self.size if end is None else end
        if end - begin == 1:
            return []
        middle = begin + (1 << (end - begin - 1).bit_length() - 1)
        if index < middle:
            return self.inclusion(index, begin, middle) + [self.root(middle, end)]
        return self.inclusion(index, middle, end) + [self.root(begin, middle)]

    def consistency(self, old, begin=0, end=None, whole=True):
        """SUBPROOF(old, D[begin:end], whole) of RFC 6962, section 2.1.2; old counts from begin."""
        end = self.size if end is None else end
        if old == end - begin:
            return [] if whole else [self.root(begin, end)]
        k = 1 << (end - begin - 1).bit_length() - 1
        if old <= k:
            return self.consistency(old, begin, begin + k, whole) + [self.root(begin + k, end)]
        return self.consistency(old - k, begin + k, end, False) + [self.root(begin, begin + k)]

    def entries(self, bundle):
        width = min(256, self.size - 256 * bundle)
        data = self.source.get(tile_path("entries", bundle, width))
        leaves = []
        while data:
            length = int.from_bytes(data[:2])
            assert len(data) >= 2 + length
            leaves.append(data[2:2 + length])
            data = data[2 + length:]
        assert len(leaves) == width
        return leaves


def check_inclusion(leaf, index, size, path, root):
    """RFC 9162, section 2.1.3.2; raises unless the path leads from the leaf's hash to the root."""
    fn, sn, result = index, size - 1, leaf
    for sibling in path:
        assert sn, "the path is too long"
        if fn & 1 or fn == sn:
            result = node_hash(sibling, result)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            result = node_hash(result, sibling)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0 and result == root, "not in the tree"


def check_consistency(old, old_root, new, new_root, path):
    """RFC 9162, section 2.1.4.2; raises unless the new tree begins with the old one."""
    if old == new:
        assert not path and old_root == new_root
        return
    path = ([old_root] if old & old - 1 == 0 else []) + path
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    first = second = path[0]
    for hash in path[1:]:
        assert sn, "the path is too long"
        if fn & 1 or fn == sn:
            first, second = node_hash(hash, first), node_hash(hash, second)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            second = node_hash(second, hash)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0 and first == old_root and second == new_root, "the log was changed"


def check_log(source, key, old=None):
    """Checks everything that the newest checkpoint covers; its size."""
    size, root = open_checkpoint(source.get("checkpoint"), key)
    tree = Tree(source, size)
    assert tree.root() == root, "the tiles are not what was signed"
    for bundle in range((size + 255) // 256):
        assert [leaf_hash(leaf) for leaf in tree.entries(bundle)] == tree.tile(0, bundle), f"bundle {bundle}"
    for level in range(1, 8):
        for index in range(((size >> 8 * level) + 255) // 256):
            for place, hash in enumerate(tree.tile(level, index)):
                assert fold(tree.tile(level - 1, 256 * index + place)) == hash, f"tile/{level}/{index}"
    if old:
        old_size, old_root = open_checkpoint(old, key)
        check_consistency(old_size, old_root, size, root, tree.consistency(old_size))
    return size


if __name__ == "__main__":
    kept = pathlib.Path(sys.argv[3]).read_bytes() if len(sys.argv) > 3 else None
    print(check_log(Source(sys.argv[1]), Key(sys.argv[2]), kept), "entries, all as signed")

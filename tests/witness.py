"""The log before independent eyes: pymerkle from PyPI, and examples/tlog_client.py.

    witness.py LACUNA TREES FOLDER

LACUNA is the program, TREES what tests/it/witness.rs wrote, FOLDER an empty folder for a throw-away vault.
"""

import base64
import csv
import hashlib
import json
import pathlib
import random
import subprocess
import sys
import time

import grpc
import pymerkle
from lacuna.v1 import types_pb2, vault_pb2, vault_pb2_grpc

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "examples"))
import tlog_client as tlog

LACUNA, TREES, FOLDER = sys.argv[1], json.loads(pathlib.Path(sys.argv[2]).read_text()), pathlib.Path(sys.argv[3])


def say(text):
    print(text, flush=True)


def theirs(leaves):
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for leaf in leaves:
        tree.append_entry(leaf)
    return tree


# The published tree of eight leaves first: pymerkle is a witness only if it computes as RFC 6962 says.
published = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
assert theirs(map(bytes.fromhex, published)).get_root().hex() == (
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")

# Trees of many sizes: roots and proofs against pymerkle up to a size that it is quick for, and by the RFCs' algorithms.
roots = {size: bytes.fromhex(root) for size, root in TREES["roots"]}
leaf = lambda n: n.to_bytes(8)
tree = theirs(map(leaf, range(2049)))
for size in filter(lambda size: size <= 2049, roots):
    assert tree.get_root(size) == roots[size], size
for index, size, path in TREES["inclusions"]:
    path = [bytes.fromhex(hash) for hash in path]
    tlog.check_inclusion(tlog.leaf_hash(leaf(index)), index, size, path, roots[size])
    if size <= 2049:
        assert tree.prove_inclusion(index + 1, size).path[1:] == path
old_roots = {size: tree.get_root(size) for size in range(1, 2050)}
compared = 0
for old, size, path in TREES["consistencies"]:
    old_root = old_roots.get(old) or roots.get(old)
    if old_root:
        tlog.check_consistency(old, old_root, size, roots[size], [bytes.fromhex(hash) for hash in path])
        compared += 1
say(f"witness: {len(roots)} trees of up to {max(roots)} leaves: roots, {len(TREES['inclusions'])} inclusion and "
    f"{compared} consistency proofs agree with pymerkle and RFC 9162")


# The program itself.
def start():
    ready = FOLDER / "dev.json"
    process = subprocess.Popen([LACUNA, "dev", "--dir", str(FOLDER)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("the vault did not start")
        time.sleep(0.02)
    return process, json.loads(ready.read_text())


def lacuna(*words):
    return subprocess.run([LACUNA, *words], capture_output=True, text=True)


process, dev = start()
read = lambda path: pathlib.Path(path).read_bytes()
client = dev["clients"]["service"]
channel = grpc.secure_channel(
    dev["address"], grpc.ssl_channel_credentials(read(dev["ca"]), read(client["key"]), read(client["cert"])))
vault = vault_pb2_grpc.VaultStub(channel)
key, source = tlog.Key(dev["audit_vkey"]), tlog.Source("http://" + dev["ops_address"])


def grow(calls):
    for _ in range(calls):
        vault.CreateSubject(vault_pb2.CreateSubjectRequest(context=types_pb2.CallContext(purpose="service_delivery")))


def details(bundle):
    """The details in an export: what tlog-tiles has no place for, see docs/audit-format.md."""
    folder = export / "details"
    path = next(path for path in (folder / f"{bundle:03}", *folder.glob(f"{bundle:03}.p/*")) if path.is_file())
    data, found = path.read_bytes(), []
    while data:
        length = 5 + int.from_bytes(data[1:5]) if data[0] else 1
        found.append(data[5:length])
        data = data[length:]
    return found


def until_covered(size):
    while (now := tlog.open_checkpoint(source.get("checkpoint"), key)[0]) < size:
        time.sleep(0.05)
    return now


# A log that grows: each checkpoint is checked whole, and must begin with each one before.
kept = []
for calls in (1, 2, 60, 200, 100, 170):
    before = until_covered(1) if kept else 0
    grow(calls)
    until_covered(before + calls)
    note = source.get("checkpoint")
    tlog.check_log(source, key, kept[-1] if kept else None)
    kept.append(note)
size, root = tlog.open_checkpoint(kept[-1], key)
tree = tlog.Tree(source, size)
leaves = [leaf for bundle in range((size + 255) // 256) for leaf in tree.entries(bundle)]
assert theirs(leaves).get_root() == root == tree.root()
say(f"witness: a log of {size} entries over HTTP: signature, tiles, bundles and root agree, and with pymerkle")

# Every partial width of a tile and of a bundle is the beginning of the whole, and every such tree is one the log began as.
for width in range(1, 256):
    part = source.get(tlog.tile_path(0, 0, width))
    assert part == b"".join(tree.tile(0, 0)[:width]), width
    entries = tlog.Tree(source, width).entries(0)
    assert entries == leaves[:width]
    smaller = tlog.Tree(source, width).root()
    tlog.check_consistency(width, smaller, size, root, tree.consistency(width))
for index in random.Random(1).sample(range(size), 64):
    tlog.check_inclusion(tlog.leaf_hash(leaves[index]), index, size, tree.inclusion(index), root)
say("witness: every partial width from 1 to 255, its consistency, and 64 inclusions agree")

# What is refused: other spellings, what is not covered, what is changed.
for path in ("tile/0/0", "tile/0/00%30", "tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000?", "tile/0/000?x", "tile/00/000",
             "tile/0/x000/000", "tile/64/000", "tile/0/999", "tile/entries/999", "checkpoint/", "tile/0/%2e%2e/checkpoint"):
    try:
        source.get(path)
    except AssertionError as error:
        assert str(error).endswith(": 404"), error
    else:
        assert path.endswith("?"), path  # an empty query never leaves this client
try:
    tlog.check_log(source, tlog.Key(dev["receipt_vkey"]))
except AssertionError:
    pass
else:
    raise AssertionError("another key verifies")

# Reading is in the log, but watching does not make it grow.
operations = lambda: [leaf for leaf in (leaf for bundle in range((n + 255) // 256)
                                        for leaf in tlog.Tree(source, n).entries(bundle)) if b"ReadTiles" in leaf]
n = until_covered(size)
assert len(operations()) == 1
for _ in range(200):
    source.get("checkpoint")
time.sleep(1.5)
assert until_covered(size) <= size + 3

# The export is the same files; verifying it, by us and by others, finds what is wrong.
export = FOLDER / "export"
done = lacuna("audit", "export", str(export), "--dev", str(FOLDER))
assert done.returncode == 0, done.stderr
assert tlog.check_log(tlog.Source(str(export)), key, kept[0]) >= size
verify = lambda *more: lacuna("audit", "verify", str(export), "--key", dev["audit_vkey"], *more)
done = verify("--checkpoint", str(FOLDER / "checkpoints"), "--output", "json")
assert done.returncode == 0 and json.loads(done.stdout)["verified"], done.stderr
grow(300)
until_covered(size + 300)
done = lacuna("audit", "export", str(export), "--dev", str(FOLDER), "--output", "json")
assert done.returncode == 0 and json.loads(done.stdout)["new"] >= 300, done.stderr
assert verify().returncode == 0, verify().stderr
assert tlog.check_log(tlog.Source(str(export)), key, kept[2]) >= size + 300

# Lines: complete, and continued where they ended.
for kind in ("jsonl", "csv"):
    lines = FOLDER / ("log." + kind)
    for calls in (0, 40):
        grow(calls)
        done = lacuna("audit", "export", str(lines), "--format", kind, "--dev", str(FOLDER), "--output", "json")
        assert done.returncode == 0, done.stderr
    rows = [json.loads(row) for row in lines.read_text().splitlines()] if kind == "jsonl" else list(
        csv.DictReader(lines.open()))
    assert [int(row.get("index", 0)) for row in rows] == list(range(json.loads(done.stdout)["size"]))
    assert any(row["operation"].endswith("CreateSubject") and row["sealed_detail"] for row in rows)

# Another key signs; the old one leads to it.
keys = json.loads(lacuna("key", "list", "--dev", str(FOLDER), "--output", "json").stdout)["keys"]
old = next(key_ for key_ in keys if key_["kind"] == "KEY_KIND_LOG_SIGNING")
assert old["verifier_key"] == dev["audit_vkey"]
done = lacuna("key", "rotate", old["key_id"], "--dev", str(FOLDER), "--output", "json")
assert done.returncode == 0, done.stderr
handover = json.loads(done.stdout)["rotation"]["proof"]["handover"]
note = base64.b64decode(handover["checkpoint"]["note"])
leaf, size = base64.b64decode(handover["leaf"]), int(handover["inclusion"]["tree_size"])
time.sleep(1)
new = tlog.Key(json.loads((FOLDER / "dev.json").read_text())["audit_vkey"])
assert new.id != key.id and tlog.open_checkpoint(note, new)[0] == size
tlog.check_inclusion(tlog.leaf_hash(leaf), int(handover["inclusion"]["leaf_index"]), size,
                     [base64.b64decode(hash) for hash in handover["inclusion"]["path"]], tlog.open_checkpoint(note, new)[1])
done = lacuna("audit", "export", str(export), "--dev", str(FOLDER))
assert done.returncode == 0, done.stderr
done = verify("--checkpoint", str(FOLDER / "checkpoints"), "--output", "json")
assert done.returncode == 0 and len(json.loads(done.stdout)["handovers"]) == 1, done.stderr
index = json.loads(done.stdout)["handovers"][0]["index"]
signed = details(index // 256)[index % 256]
for each in (key, new):
    assert tlog.open_checkpoint(signed, each)[0] == index, "the note is signed by both"
assert hashlib.sha256(signed).digest() in leaf
say("witness: decoded lines are complete; the log's new key is signed in by the old one")
victim = export / "tile/entries/001"
bytes_ = bytearray(victim.read_bytes())
bytes_[100] ^= 1
victim.write_bytes(bytes_)
done = verify()
assert done.returncode == 1 and "entry 256: the entry is not the one" in done.stderr, done.stderr
say("witness: export, what was new since, and one changed byte: found by us and by the client")
process.terminate()
process.wait()

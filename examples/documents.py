"""Stores a document in pieces and reads it back, and goes on after an interruption: docs/calling-services.md.

Usage: documents.py DEV.JSON, with what grpc_tools makes of proto/ on the path.
"""

import hashlib
import json
import pathlib
import queue
import sys

from lacuna.v1 import types_pb2, vault_pb2, vault_pb2_grpc
from vault_client import call, connect, context, repeat

PIECE = 1 << 20  # the most that one message takes


def upload(vault, opening, content):
    """Stores a document. What was stored when a stream broke off is not sent again."""

    def attempt():
        accepted = queue.SimpleQueue()

        def messages():
            yield vault_pb2.UploadDocumentRequest(context=context(), open=opening)
            offset = accepted.get()  # where the vault wants to go on
            while offset is not None and offset < len(content):
                data = content[offset:offset + PIECE]
                yield vault_pb2.UploadDocumentRequest(chunk=vault_pb2.DocumentChunk(offset=offset, data=data))
                offset += len(data)
            whole = vault_pb2.UploadFinish(size_bytes=len(content), sha256=hashlib.sha256(content).digest())
            yield vault_pb2.UploadDocumentRequest(finish=whole)

        try:
            for answer in vault.UploadDocument(messages(), timeout=60):
                if answer.HasField("accepted"):
                    opening.upload_id = answer.accepted.upload_id  # by which the next attempt goes on
                    accepted.put(answer.accepted.durable_bytes)
                elif answer.HasField("done"):
                    return answer.done.item
        finally:
            accepted.put(None)  # lets the messages end, whatever happened

    return repeat(attempt)


def download(vault, subject, item_id):
    """A document with its description. It is whole only once the end has come and the hash fits."""
    content, described = bytearray(), None

    def attempt():
        nonlocal described
        request = vault_pb2.DownloadDocumentRequest(
            context=context(), subject=subject, item_id=item_id, offset=len(content),
            version=described.version if described else 0,
        )
        for answer in vault.DownloadDocument(request, timeout=60):
            if answer.HasField("item"):
                described = answer.item
            elif answer.HasField("chunk"):
                content.extend(answer.chunk.data)
            else:
                return answer.end

    end = repeat(attempt)
    assert end and hashlib.sha256(content).digest() == end.sha256, "not whole"
    return described, bytes(content)


def main():
    dev = json.loads(pathlib.Path(sys.argv[1]).read_text())
    vault = vault_pb2_grpc.VaultStub(connect(dev, "service"))
    created = call(vault.CreateSubject, vault_pb2.CreateSubjectRequest(context=context()))
    subject = types_pb2.SubjectRef(subject_id=created.subject_id)

    scan = b"%PDF-1.7\n" + bytes(5 * PIECE)
    opening = vault_pb2.UploadOpen(subject=subject, media_type="application/pdf", file_name="passport.pdf")
    item = upload(vault, opening, scan)
    print(f"stored: {item.item_id}, version {item.version}")

    described, content = download(vault, subject, item.item_id)
    assert content == scan
    print(f"read back: {len(content)} bytes of {described.value.document.media_type}")


if __name__ == "__main__":
    main()

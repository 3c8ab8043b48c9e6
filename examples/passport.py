"""Stores a passport and reads it back: the sample of docs/calling-services.md.

Usage: passport.py DEV.JSON, with what grpc_tools makes of proto/ on the path.
"""

import json
import pathlib
import sys
import uuid

import grpc
from lacuna.v1 import types_pb2, vault_pb2, vault_pb2_grpc
from vault_client import call, connect, context, reason


def main():
    dev = json.loads(pathlib.Path(sys.argv[1]).read_text())
    vault = vault_pb2_grpc.VaultStub(connect(dev, "service"))

    passport = types_pb2.GovernmentId(
        type=types_pb2.GOVERNMENT_ID_TYPE_PASSPORT, country_code="SE", number="aa 0000001", printed_name="EXAMPLE PERSON"
    )
    item = vault_pb2.NewItem(value=types_pb2.ItemValue(government_id=passport))
    setattr(item, "class", "government_id")  # `class` is a word of Python's
    created = call(vault.CreateSubject, vault_pb2.CreateSubjectRequest(
        context=context(idempotency_key=str(uuid.uuid4())),
        external_id=f"user-{uuid.uuid4()}",
        items=[item],
    ))
    print(f"stored: {created.subject_id}, {created.items[0].item_id}")

    request = vault_pb2.GetItemRequest(
        context=context(),
        subject=types_pb2.SubjectRef(subject_id=created.subject_id),
        item_id=created.items[0].item_id,
    )
    read = call(vault.GetItem, request).item
    print(f"read back: {read.value.government_id.number} of {read.value.government_id.country_code}")

    support = vault_pb2_grpc.VaultStub(connect(dev, "support"))
    try:
        call(support.GetItem, request)
    except grpc.RpcError as error:
        print(f"as support: {reason(error)}")


if __name__ == "__main__":
    main()

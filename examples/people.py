"""Stores people in a batch, finds them by what they share, page by page, and reads in a batch: docs/calling-services.md.

Usage: people.py DEV.JSON, with what grpc_tools makes of proto/ on the path.
"""

import json
import pathlib
import sys
import uuid

from lacuna.v1 import types_pb2, vault_pb2, vault_pb2_grpc
from vault_client import call, connect, context, repeat


def put_all(vault, entries):
    """Stores a batch. Entries that failed for now are sent again, with the others: under one key each is stored once."""
    request = vault_pb2.BatchPutItemsRequest(context=context(idempotency_key=str(uuid.uuid4())), entries=entries)
    for _ in range(5):
        results = call(vault.BatchPutItems, request).results
        if not any(result.error.retryable for result in results):
            break
    return results


def pages(method, request):
    """Every answer of a method that answers page by page. A short page, or an empty one, is not the end."""
    while True:
        answer = call(method, request)
        yield answer
        request.page_token = answer.next_page_token
        if not request.page_token:
            return


def contact(name, email):
    item = vault_pb2.NewItem(value=types_pb2.ItemValue(contact=types_pb2.Contact(
        full_name=name, emails=[types_pb2.EmailAddress(address=email)],
    )))
    setattr(item, "class", "contact")  # `class` is a word of Python's
    return item


def main():
    dev = json.loads(pathlib.Path(sys.argv[1]).read_text())
    vault = vault_pb2_grpc.VaultStub(connect(dev, "service"))

    family = f"family-{uuid.uuid4()}@example.com"
    emails = [family, family, "no address", family]
    results = put_all(vault, [
        vault_pb2.PutItemEntry(
            reference=f"row {number}", subject=types_pb2.SubjectRef(external_id=f"user-{uuid.uuid4()}"),
            create_subject=True, item=contact(f"Example Person {number}", email),
        ) for number, email in enumerate(emails)
    ])
    for result in results:
        error = result.error
        print(f"{result.reference}: {'stored' if result.HasField('success') else error.violations[0].field}")

    search = vault_pb2.FindSubjectsRequest(context=context(), identifier=vault_pb2.Identifier(email=family), page_size=2)
    found = [match for page in pages(vault.FindSubjects, search) for match in page.matches]
    print(f"found: {len(found)}")

    entries = [vault_pb2.GetItemEntry(
        reference=match.item_id, subject=types_pb2.SubjectRef(subject_id=match.subject_id), item_id=match.item_id,
    ) for match in found]
    request = vault_pb2.BatchGetItemsRequest(context=context(), entries=entries, fields=["full_name"])
    answers = repeat(lambda: list(vault.BatchGetItems(request, timeout=60)))
    names = [result.item.value.contact.full_name for answer in answers for result in answer.results]
    print(f"read: {', '.join(sorted(names))}")

    items = vault_pb2.ListItemsRequest(context=context(), subject=entries[0].subject)
    print(f"items of the first: {sum(len(page.items) for page in pages(vault.ListItems, items))}")


if __name__ == "__main__":
    main()

"""Records events in batches and reads those of a span of time: docs/calling-services.md.

Usage: events.py DEV.JSON, with what grpc_tools makes of proto/ on the path.
"""

import json
import pathlib
import sys
import time
import uuid

from google.protobuf.timestamp_pb2 import Timestamp
from lacuna.v1 import types_pb2, vault_pb2, vault_pb2_grpc
from vault_client import call, connect, context, repeat


def visit(subject, seconds, page):
    access = types_pb2.AccessEvent(
        time=Timestamp(seconds=seconds), ip_address="192.0.2.7", page=page, method="GET", status=200
    )
    event = vault_pb2.NewEvent(subject=subject, value=types_pb2.ItemValue(access_event=access))
    setattr(event, "class", "access_event")  # `class` is a word of Python's
    return event


def record(vault, batches):
    """Records batches on one stream. Each has a key of its own, by which a repeat is known and stored once."""
    keyed = {str(uuid.uuid4()): batch for batch in batches}
    stored = 0

    def attempt():
        nonlocal stored
        waiting = list(keyed.items())

        def messages():
            for number, (key, events) in enumerate(waiting):
                why = context() if number == 0 else None  # once per stream
                yield vault_pb2.RecordEventsRequest(context=why, batch_key=key, events=events)

        for answer in vault.RecordEvents(messages(), timeout=60):  # one per batch, in order; durable when it comes
            keyed.pop(answer.batch_key)
            stored += answer.stored_count
            for rejected in answer.rejected:
                print(f"not stored: event {rejected.index}, {rejected.error.message}")

    repeat(attempt)
    return stored


def read(vault, subject, start, end):
    """The events from a moment up to another, in order of time. A stream that breaks off is asked for the rest."""
    request = vault_pb2.ReadEventsRequest(
        context=context(), subject=subject, classes=["access_event"],
        start_time=Timestamp(seconds=start), end_time=Timestamp(seconds=end),
    )
    events = []

    def attempt():
        for answer in vault.ReadEvents(request, timeout=60):
            events.extend(answer.events)
            request.resume_token = answer.resume_token

    repeat(attempt)
    return events


def main():
    dev = json.loads(pathlib.Path(sys.argv[1]).read_text())
    vault = vault_pb2_grpc.VaultStub(connect(dev, "service"))
    created = call(vault.CreateSubject, vault_pb2.CreateSubjectRequest(context=context()))
    subject = types_pb2.SubjectRef(subject_id=created.subject_id)

    hour = int(time.time()) - 3600
    visits = [visit(subject, hour + number, f"/servers/{number}") for number in range(300)]
    visits[7].value.access_event.ip_address = "somewhere"
    stored = record(vault, [visits[at:at + 100] for at in range(0, 300, 100)])
    print(f"stored: {stored} events")

    events = read(vault, subject, hour + 100, hour + 110)
    print(f"read back: {', '.join(event.value.access_event.page for event in events)}")


if __name__ == "__main__":
    main()

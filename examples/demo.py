"""The main job, as a calling service sees it: only the published contract, no code of the vault's own.

Starts a throw-away vault, stores people from people.jsonl as one caller, reads them back as others, deletes an item,
kills and restarts the vault, erases a person and another one with an item on hold, asks its audit log who read a passport
and checks that log against what was signed. Meanwhile residue.rs hoards every file that the vault's store ever has; at the
end the demo asks it what can still be opened, and looks for every sample value in every byte that the vault wrote.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import grpc
from google.protobuf import json_format
import tlog_client
from lacuna.v1 import (
    approvals_pb2, approvals_pb2_grpc, audit_pb2, audit_pb2_grpc, holds_pb2, holds_pb2_grpc, privacy_pb2, privacy_pb2_grpc,
    system_pb2, system_pb2_grpc, types_pb2, vault_pb2, vault_pb2_grpc,
)

LACUNA, FOLDER, RESIDUE = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
PEOPLE = pathlib.Path(__file__).with_name("people.jsonl")


def say(text):
    print(text, flush=True)


def start():
    ready = FOLDER / "dev.json"
    ready.unlink(missing_ok=True)
    process = subprocess.Popen([LACUNA, "dev", "--dir", str(FOLDER)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            sys.exit("the vault did not start")
        time.sleep(0.02)
    return process, json.loads(ready.read_text())


def connect(dev, role):
    client = dev["clients"][role]
    read = lambda path: pathlib.Path(path).read_bytes()
    credentials = grpc.ssl_channel_credentials(read(dev["ca"]), read(client["key"]), read(client["cert"]))
    return grpc.secure_channel(dev["address"], credentials)


def context(purpose, **more):
    return types_pb2.CallContext(purpose=purpose, **more)


def refused(call, code):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, error
        return error.details()
    raise AssertionError("should have been refused")


def new_item(kind, value):
    item = vault_pb2.NewItem()
    setattr(item, "class", kind)
    json_format.ParseDict({kind: value}, item.value)
    return item


def texts(value):
    """Every text of a sample row that is long enough to be looked for."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str) and len(value.encode()) >= 10:
        yield value


people = [json.loads(line) for line in PEOPLE.read_text().splitlines()]
process, dev = start()
say(f"a vault on {dev['address']}, TLS 1.3 with client certificates")
attacker = subprocess.Popen([RESIDUE, str(FOLDER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def attack(sought):
    """What somebody can open who kept every file of the store, with the slots as they are and every key there is."""
    attacker.stdin.write(json.dumps(sought) + "\n")
    attacker.stdin.flush()
    return json.loads(attacker.stdout.readline())


service = vault_pb2_grpc.VaultStub(connect(dev, "service"))
stored = []
began = time.monotonic()
for person in people:
    request = vault_pb2.CreateSubjectRequest(
        context=context("service_delivery", idempotency_key="sign-up of " + person["external_id"]),
        external_id=person["external_id"], labels=person["labels"],
    )
    for kind in ("contact", "government_id", "payment"):
        request.items.append(new_item(kind, person[kind]))
    answer = service.CreateSubject(sign_up := request)
    stored.append((person, answer.subject_id, [item.item_id for item in answer.items]))
say(f"service: stored {len(stored)} people with 3 items each in {time.monotonic() - began:.1f} s, one call at a time")


def get(stub, purpose, subject, item, **more):
    reference = types_pb2.SubjectRef(subject_id=subject)
    request = vault_pb2.GetItemRequest(context=context(purpose), subject=reference, item_id=item, **more)
    return stub.GetItem(request).item


def check(stub):
    for person, subject, items in stored[1:]:
        item = get(stub, "service_delivery", subject, items[1])
        assert item.value.government_id.country_code == person["government_id"]["country_code"]


check(service)
say("service: read every government id back, in plain")
person, subject, items = stored[0]
by_id = vault_pb2.ListItemsRequest(
    context=context("service_delivery"), subject=types_pb2.SubjectRef(external_id=person["external_id"])
)
assert len(service.ListItems(by_id).items) == 3
say("service: found the first person by the service's own id, with 3 items")

support = vault_pb2_grpc.VaultStub(connect(dev, "support"))
masked = get(support, "service_delivery", subject, items[0])
assert masked.view == types_pb2.VIEW_MASKED and masked.masked_fields
say(f"support: sees the same contact masked: {masked.value.contact.full_name!r}")
say("support: the passport is refused: " + refused(
    lambda: get(support, "service_delivery", subject, items[1]), grpc.StatusCode.NOT_FOUND))
say("support: plain contact is refused: " + refused(
    lambda: get(support, "service_delivery", subject, items[0], view=types_pb2.VIEW_PLAIN),
    grpc.StatusCode.PERMISSION_DENIED))
say("service: an unregistered purpose is refused: " + refused(
    lambda: get(service, "curiosity", subject, items[0]), grpc.StatusCode.PERMISSION_DENIED))
auditor = vault_pb2_grpc.VaultStub(connect(dev, "auditor"))
say("auditor: reading a value is refused: " + refused(
    lambda: get(auditor, "legal_compliance", subject, items[0]), grpc.StatusCode.PERMISSION_DENIED))
card = dict(person["payment"], token="4111 1111 1111 1111")
bad = vault_pb2.PutItemRequest(
    context=context("service_delivery"), subject=types_pb2.SubjectRef(subject_id=subject), item=new_item("payment", card)
)
say("service: a raw card number is refused: " + refused(lambda: service.PutItem(bad), grpc.StatusCode.INVALID_ARGUMENT))

request = vault_pb2.DeleteItemRequest(
    context=context("service_delivery"), subject=types_pb2.SubjectRef(subject_id=subject), item_id=items[1]
)
began = time.monotonic()
erasure = service.DeleteItem(request).erasure
assert erasure.state == types_pb2.ERASURE_STATE_ERASED, erasure
say(f"service: deleted the first passport; its key is gone as of epoch {erasure.epoch} "
    f"({(time.monotonic() - began) * 1000:.0f} ms)")
refused(lambda: get(service, "service_delivery", subject, items[1]), grpc.StatusCode.NOT_FOUND)

process.send_signal(signal.SIGKILL)
process.wait()
process, dev = start()
say("killed with SIGKILL and started again")
service = vault_pb2_grpc.VaultStub(connect(dev, "service"))
check(service)
refused(lambda: get(service, "service_delivery", subject, items[1]), grpc.StatusCode.NOT_FOUND)
again = service.CreateSubject(sign_up)  # the last one, as a caller does that got no answer
assert again.subject_id == stored[-1][1]
say("service: sent the last sign-up again with its idempotency key: the same subject, nothing new")
corrected = vault_pb2.UpdateItemRequest(
    context=context("service_delivery"), subject=types_pb2.SubjectRef(subject_id=subject), item_id=items[0],
    value=new_item("contact", dict(person["contact"], full_name="Corrected Name")).value, wait=types_pb2.WAIT_ERASED,
)
answer = service.UpdateItem(corrected)
assert answer.item.version == 2 and answer.erasure.state == types_pb2.ERASURE_STATE_ERASED
say(f"service: corrected the first contact; the old version's key is gone as of epoch {answer.erasure.epoch}")
operator = system_pb2_grpc.SystemStub(connect(dev, "operator"))
status = operator.GetStatus(system_pb2.GetStatusRequest(context=context("security")))
say(f"service: everybody is still there, the deleted passport is not; epoch {status.current_epoch}, "
    f"{status.log.entry_count} entries in the audit log")

# The privacy officer erases a person. The receipt is checked by a program that never talks to the vault.
officer = privacy_pb2_grpc.PrivacyStub(connect(dev, "privacy-officer"))
gone, subject, items = stored[2]
request = privacy_pb2.EraseSubjectRequest(
    context=context("legal_compliance"), subject=types_pb2.SubjectRef(external_id=gone["external_id"]),
    ground=privacy_pb2.ERASURE_GROUND_REQUEST,
)
began = time.monotonic()
erased = officer.EraseSubject(request)
assert erased.erasure.state == types_pb2.ERASURE_STATE_ERASED, erased.erasure
body = privacy_pb2.ReceiptBody.FromString(erased.receipt.body)
say(f"privacy officer: erased the third person; {body.key_count} keys are gone as of epoch {body.epoch}, seen in "
    f"{len(body.slots)} slots ({(time.monotonic() - began) * 1000:.0f} ms)")
say("service: reading the person is refused: " + refused(
    lambda: get(service, "service_delivery", subject, items[0]), grpc.StatusCode.FAILED_PRECONDITION))
again = officer.EraseSubject(privacy_pb2.EraseSubjectRequest(
    context=context("legal_compliance"), subject=types_pb2.SubjectRef(subject_id=subject)))
assert again.receipt.body == erased.receipt.body and again.receipt.signature == erased.receipt.signature
paper = FOLDER / "receipt.json"
paper.write_text(json_format.MessageToJson(erased.receipt))
verify = [LACUNA, "receipt", "verify", str(paper), "--key", dev["receipt_vkey"], "--log-key", dev["audit_vkey"]]
told = json.loads(subprocess.run([*verify, "--output", "json"], check=True, capture_output=True, text=True).stdout)
say(f"anybody: the receipt holds without the vault: {told['verdict']}, entries {told['entries']} of the log, "
    f"grade {told['grade']}")
paper.write_text(paper.read_text().replace(erased.receipt.receipt_id, "rcp_" + "a" * 26))
forged = subprocess.run(verify, capture_output=True, text=True)
assert forged.returncode == 1, forged
say("anybody: a forged receipt: " + forged.stderr.strip().removeprefix("lacuna: "))

# A person is erased while a court wants one item kept: legal alone reads it, and it dies with the hold.
legal = holds_pb2_grpc.HoldsStub(connect(dev, "legal"))
held, subject, items = stored[3]
other, other_subject, other_items = stored[4]
number = lambda of, item: get(service, "service_delivery", of, item).value.government_id.number
held_number, other_number = number(subject, items[1]), number(other_subject, other_items[1])
email = get(service, "service_delivery", subject, items[0]).value.contact.emails[0].address
matter = holds_pb2.Matter(name="Example v. Example", authority="District Court", reference="12-345")
matter.review_time.GetCurrentTime()
matter = legal.OpenMatter(holds_pb2.OpenMatterRequest(context=context("legal_compliance"), matter=matter)).matter
hold = legal.PlaceHold(holds_pb2.PlaceHoldRequest(
    context=context("legal_compliance"), matter_id=matter.matter_id, subject=types_pb2.SubjectRef(subject_id=subject),
    item_scope=holds_pb2.ItemScope(items=[types_pb2.ItemVersionRef(item_id=items[1])]), include_access_history=True)).hold
erased = officer.EraseSubject(privacy_pb2.EraseSubjectRequest(
    context=context("legal_compliance"), subject=types_pb2.SubjectRef(subject_id=subject)))
assert erased.erasure.state == types_pb2.ERASURE_STATE_KEPT, erased.erasure
paper.write_text(json_format.MessageToJson(erased.receipt))
told = json.loads(subprocess.run([*verify, "--output", "json"], check=True, capture_output=True, text=True).stdout)
say(f"privacy officer: erased the fourth person, with one item on hold; the receipt holds without the vault: "
    f"{told['verdict']}")
kept = types_pb2.Item()
for role in ("kyc", "legal"):
    stub = vault_pb2_grpc.VaultStub(connect(dev, role))
    request = vault_pb2.GetItemRequest(context=context("legal_compliance"), item_id=items[1])
    if role == "legal":
        kept = stub.GetItem(request).item
    else:
        refused(lambda: stub.GetItem(request), grpc.StatusCode.INVALID_ARGUMENT)
assert kept.value.government_id.number == held_number and not kept.subject_id
say("legal, and nobody else: reads the kept item; it names no person any more")
log = audit_pb2_grpc.AuditStub(connect(dev, "legal"))
history = audit_pb2.ListEntriesRequest(
    context=context("legal_compliance"), filter=audit_pb2.AuditFilter(history_receipt_id=erased.receipt.receipt_id))
traced = sum(len(answer.entries) for answer in log.ListEntries(history))
say(f"legal, and nobody else: finds the {traced} entries of the log about the person, by the receipt")
sought = [email, held_number, other_number]
began = time.monotonic()
found = attack(sought)
assert found["revealed"] == [held_number, other_number] and not found["in_clear"], found
say(f"attacker: {found['files']} files of the store, {found['records']} records, {found['keys']} keys, each tried on all: opens the "
    f"kept item and other people's, not the erased email ({time.monotonic() - began:.1f} s)")

release = holds_pb2.ReleaseHoldRequest(
    context=context("legal_compliance"), hold_id=hold.hold_id, wait=types_pb2.WAIT_ERASED)
say("legal: releases the hold: " + refused(
    lambda: legal.ReleaseHold(release), grpc.StatusCode.FAILED_PRECONDITION))
second = approvals_pb2_grpc.ApprovalsStub(connect(dev, "legal-2"))
[asked] = second.ListApprovals(approvals_pb2.ListApprovalsRequest(
    context=context("legal_compliance"), decidable=True)).approvals
second.Approve(approvals_pb2.ApproveRequest(
    context=context("legal_compliance"), approval_id=asked.approval_id, request_digest=asked.request_digest))
release.context.approval_id = asked.approval_id
released = legal.ReleaseHold(release)
assert released.erasure.state == types_pb2.ERASURE_STATE_ERASED, released
whole = officer.GetReceipt(privacy_pb2.GetReceiptRequest(
    context=context("legal_compliance"), receipt_id=erased.receipt.receipt_id)).receipt
paper.write_text(json_format.MessageToJson(whole))
subprocess.run(verify, check=True, capture_output=True)
assert whole.body == erased.receipt.body and len(whole.supplementary) == 1
assert not sum(len(answer.entries) for answer in log.ListEntries(history))
found = attack(sought)
assert found["revealed"] == [other_number] and not found["in_clear"], found
say(f"legal: released the hold with a second person's word; the last item is gone as of epoch {released.erasure.epoch}, the "
    "receipt has a supplement, and nobody finds the person's entries")
say(f"attacker: {found['files']} files, {found['records']} records, {found['keys']} keys: opens other people's items, and "
    "nothing of the erased person")

# An auditor: who read the second person's passport, and was it allowed? And is the log what was signed?
kept = tlog_client.Source("http://" + dev["ops_address"]).get("checkpoint")  # as kept outside, from before
reader, subject, items = stored[1]
kyc = vault_pb2_grpc.VaultStub(connect(dev, "kyc"))
support = vault_pb2_grpc.VaultStub(connect(dev, "support"))
get(kyc, "legal_compliance", subject, items[1])
refused(lambda: get(support, "service_delivery", subject, items[1]), grpc.StatusCode.NOT_FOUND)
question = audit_pb2.ListEntriesRequest(
    context=context("legal_compliance"), start_index=0,
    filter=audit_pb2.AuditFilter(
        subject=types_pb2.SubjectRef(external_id=reader["external_id"]), classes=["government_id"],
        operations=["lacuna.v1.Vault/GetItem"]),
)
auditor = audit_pb2_grpc.AuditStub(connect(dev, "auditor"))
say("auditor: who read the second person's passport, and was it allowed?")
for answer in auditor.ListEntries(question):
    for entry in answer.entries:
        decided = audit_pb2.Decision.Name(entry.decision).removeprefix("DECISION_").lower()
        rule = f" by rule {entry.rule_id}" if entry.rule_id else ""
        say(f"    entry {entry.index}: {entry.role} for {entry.purpose}: {decided}{rule}")
size = tlog_client.check_log(
    tlog_client.Source("http://" + dev["ops_address"]), tlog_client.Key(dev["audit_vkey"]), kept)
say(f"auditor: recomputed the log's tree over {size} entries with a client of the C2SP formats: as signed, and it "
    "begins with the checkpoint that was kept")

attacker.stdin.close()
attacker.wait()
process.terminate()
process.wait()

wanted = {text.encode() for person in people for part in ("external_id", "contact", "government_id", "payment")
          for text in texts(person[part] if part != "external_id" else [person[part]])}
scanned = found = 0
for path in pathlib.Path(dev["data_dir"]).rglob("*"):
    if path.is_file():
        data = path.read_bytes()
        scanned += len(data)
        found += sum(text in data for text in wanted)
say(f"looked for {len(wanted)} sample values in {scanned} bytes of the data directory: {found} found")
sys.exit(1 if found else 0)

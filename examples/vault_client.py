"""What the samples of docs/calling-services.md share: a channel, and calls that are repeated where a repeat can help."""

import pathlib
import random
import time

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from lacuna.v1 import types_pb2


def connect(dev, role):
    """A channel with the certificate of a role. In production: the files that your platform gives your service."""
    client = dev["clients"][role]
    read = lambda path: pathlib.Path(path).read_bytes()
    credentials = grpc.ssl_channel_credentials(read(dev["ca"]), read(client["key"]), read(client["cert"]))
    return grpc.secure_channel(dev["address"], credentials)


def context(**more):
    """Why the call is made, and by what key a repeat of a change is known."""
    return types_pb2.CallContext(purpose="service_delivery", **more)


def detail(error, message):
    """A detail of an error; none if it is not there, as where no answer came from the vault."""
    status = rpc_status.from_call(error)
    for packed in status.details if status else ():
        if packed.Unpack(message):
            return message


def reason(error):
    """The stable reason of an error, such as NOT_FOUND; none where no answer came from the vault."""
    info = detail(error, error_details_pb2.ErrorInfo())
    return info.reason if info else None


def may_repeat(error):
    """Whether the same request may be sent again: the vault says so by saying how long to wait before."""
    if reason(error):
        return detail(error, error_details_pb2.RetryInfo()) is not None
    # No answer came: what was to be changed is changed or is not.
    return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNKNOWN)


def repeat(act, attempts=6):
    """Does something again while that may help. A request keeps its idempotency key: the change is made once."""
    for attempt in range(attempts):
        try:
            return act()
        except grpc.RpcError as error:
            if attempt + 1 == attempts or not may_repeat(error):
                raise
            told = detail(error, error_details_pb2.RetryInfo())
            wait = told.retry_delay.ToTimedelta().total_seconds() if told else 0
            time.sleep(max(wait, 0.1 * 2**attempt) * random.uniform(1, 1.5))


def call(method, request):
    """One call with a deadline, repeated where that may help."""
    return repeat(lambda: method(request, timeout=10))

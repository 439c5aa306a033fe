"""A gRPC proxy between workers and their coordinator that does to calls what networks and retries do.

    python calls_proxy.py LISTEN COORDINATOR

Reads one order a line from standard input, {"fault": NAME, "seconds": S}, does it to the next call that makes
something durable, and then writes a line: {"fault": NAME, "method": METHOD, "code": what the call in question got}.

  duplicate    the call is sent twice at once; the caller gets one of the answers
  lost_answer  the coordinator does what it is told, the caller is told UNAVAILABLE
  delay        the call arrives S seconds late; so long no heartbeat of anyone arrives either
  replay       the call arrives once more, S seconds later: reordered behind whatever comes meanwhile
"""

import asyncio
import json
import sys

import grpc

DURABLE = ("CommitMatrix", "CommitHessians", "CompleteLease", "FailLease")
CALL_SECONDS = 60
OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.initial_reconnect_backoff_ms", 100),
           ("grpc.max_reconnect_backoff_ms", 500), ("grpc.keepalive_permit_without_calls", 1),
           ("grpc.http2.min_recv_ping_interval_without_data_ms", 10000), ("grpc.max_receive_message_length", -1),
           ("grpc.max_send_message_length", -1)]


class Faults:
    """The orders that wait for a call, and how each is done."""

    def __init__(self):
        self.orders = []
        self.quiet = 0  # delays under way: heartbeats are lost

    async def call(self, method, send):
        """Calls `send`, which makes the call once, as the next order says."""
        if method == "Heartbeat" and self.quiet:
            raise Lost
        if method not in DURABLE or not self.orders:
            return await send()
        order = self.orders.pop(0)
        try:
            answer, told = await getattr(self, order["fault"])(send, order)
        except grpc.aio.AioRpcError as error:
            self.tell(order, method, error.code().name)
            raise
        self.tell(order, method, told)
        if answer is None:
            raise Lost
        return answer

    @staticmethod
    def tell(order, method, code):
        print(json.dumps({"fault": order["fault"], "method": method, "code": code}), flush=True)

    async def duplicate(self, send, _order):
        answers = await asyncio.gather(send(), send(), return_exceptions=True)
        good = [answer for answer in answers if not isinstance(answer, BaseException)]
        if not good:
            raise answers[0]
        return good[0], " ".join(map(self.code_of, answers))

    async def lost_answer(self, send, _order):
        await send()
        return None, "OK"

    async def delay(self, send, order):
        self.quiet += 1
        try:
            await asyncio.sleep(order["seconds"])
        finally:
            self.quiet -= 1
        return await send(), "OK"

    async def replay(self, send, order):
        answer = await send()
        await_later(self.again(send, order["seconds"]))
        return answer, "OK"

    async def again(self, send, seconds):
        await asyncio.sleep(seconds)
        try:
            await send()
        except grpc.aio.AioRpcError:
            pass  # refused, or the coordinator is away: either is an answer

    @staticmethod
    def code_of(answer):
        if isinstance(answer, grpc.aio.AioRpcError):
            return answer.code().name
        return type(answer).__name__ if isinstance(answer, BaseException) else "OK"


class Lost(Exception):
    """The caller is not to get the answer."""


_later = set()  # asyncio itself keeps no task alive


def await_later(coroutine):
    task = asyncio.ensure_future(coroutine)
    _later.add(task)
    task.add_done_callback(_later.discard)


class Forward(grpc.GenericRpcHandler):
    """Passes every call on as bytes."""

    def __init__(self, channel, faults):
        self.channel = channel
        self.faults = faults

    def service(self, details):
        method = details.method
        name = method.rpartition("/")[2]
        if name == "Read":
            return grpc.unary_stream_rpc_method_handler(self.reader(method))
        if name == "Write":
            return grpc.stream_unary_rpc_method_handler(self.writer(method))
        return grpc.unary_unary_rpc_method_handler(self.unary(method, name))

    def unary(self, method, name):
        async def handle(request, context):
            def send():
                # Shielded: an order that sends twice, or later, outlives the caller's patience.
                call = self.channel.unary_unary(method)(request, timeout=CALL_SECONDS)
                return asyncio.shield(as_future(call)) if name in DURABLE else call
            try:
                return await self.faults.call(name, send)
            except Lost:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the answer was lost")
            except grpc.aio.AioRpcError as error:
                await pass_on(error, context)
        return handle

    def reader(self, method):
        async def handle(request, context):
            try:
                async for answer in self.channel.unary_stream(method)(request, timeout=CALL_SECONDS):
                    yield answer
            except grpc.aio.AioRpcError as error:
                await pass_on(error, context)
        return handle

    def writer(self, method):
        async def handle(requests, context):
            try:
                return await self.channel.stream_unary(method)(requests, timeout=CALL_SECONDS)
            except grpc.aio.AioRpcError as error:
                await pass_on(error, context)
        return handle


async def as_future(call):
    return await call


async def pass_on(error, context):
    """The status with its details, which the trailing metadata carries."""
    await context.abort(error.code(), error.details() or "", tuple(error.trailing_metadata() or ()))


async def read_orders(faults):
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        order = json.loads(line)
        if order["fault"] == "none":
            faults.orders.clear()
        else:
            faults.orders.append(order)


async def main(listen, coordinator):
    faults = Faults()
    server = grpc.aio.server(options=OPTIONS)
    async with grpc.aio.insecure_channel(coordinator, options=OPTIONS) as channel:
        server.add_generic_rpc_handlers((Forward(channel, faults),))
        assert server.add_insecure_port(listen), listen
        await server.start()
        print(json.dumps({"listening": listen}), flush=True)
        await read_orders(faults)
        await server.stop(None)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

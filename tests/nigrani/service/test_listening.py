import gc
import socket
import warnings

import pytest

from nigrani.service.listening import listening


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_stream_listens_and_blocks_nobody(host: str) -> None:
    with listening(host, 0, 4) as listener, socket.create_connection(listener.getsockname()[:2]) as asking:
        while True:
            try:
                answering, _ = listener.accept()
                break
            except BlockingIOError:
                continue
        with answering:
            answering.sendall(b"x")
            assert asking.recv(1) == b"x"
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_datagrams_are_taken() -> None:
    with listening("127.0.0.1", 0, 0, socket.SOCK_DGRAM) as listener, socket.socket(type=socket.SOCK_DGRAM) as sender:
        with pytest.raises(BlockingIOError):
            listener.recv(1)
        sender.sendto(b"x", listener.getsockname())
        listener.settimeout(5)
        assert listener.recv(9) == b"x"


def test_a_port_that_is_taken_leaves_no_socket_behind() -> None:
    with listening("127.0.0.1", 0, 4) as first, warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(OSError, match="in use"):
            listening("127.0.0.1", first.getsockname()[1], 4)
        gc.collect()

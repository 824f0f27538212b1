"""TLS in front of a PostgreSQL server that has none, with a CA of the test's own."""

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_SSL_REQUEST_BYTES = 8


class Authority:
    """A CA that lives for one test; its own certificate is in `ca`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.ca = folder / f"{name}.pem"
        signed = self._signed(self._name, self._key, x509.BasicConstraints(ca=True, path_length=None))
        self.ca.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def context_for(self, host: str) -> ssl.SSLContext:
        """Return the context of a server of that name."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        signed = self._signed(name, key, x509.SubjectAlternativeName([x509.DNSName(host)]))
        file = self._folder / f"{host}.pem"
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        file.write_bytes(key.private_bytes(*form) + signed.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _signed(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=1))
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
            .sign(self._key, hashes.SHA256())
        )


@contextmanager
def tls_in_front_of(target: str, context: ssl.SSLContext) -> Iterator[int]:
    """Lend the port of a server that speaks TLS, and passes on to the socket of one that does not."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=_serve, args=(client, target, context), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _serve(client: socket.socket, target: str, context: ssl.SSLContext) -> None:
    with suppress(OSError), client:
        client.recv(_SSL_REQUEST_BYTES)
        client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as secured, socket.socket(socket.AF_UNIX) as server:
            server.connect(target)
            _relay(secured, server)


def _relay(secured: ssl.SSLSocket, server: socket.socket) -> None:
    # An SSL socket is not for two threads at a time: turns are short.
    secured.settimeout(0.01)
    server.settimeout(0.01)
    while True:
        for source, sink in ((secured, server), (server, secured)):
            with suppress(TimeoutError):
                data = source.recv(65536)
                if not data:
                    return
                sink.sendall(data)

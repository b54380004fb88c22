"""tls_registry.py FOLDER ID SCHEMA: a registry with this one schema behind TLS, with an authority made for it. Writes FOLDER/ca.pem
and then FOLDER/port, and serves until it is killed."""

import datetime
import ipaddress
import json
import os
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(name, issuer, key, issuer_key, extensions):
    now = datetime.datetime.now(datetime.timezone.utc)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.subject if issuer else subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=2))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(issuer_key, hashes.SHA256())


def main():
    folder, number, schema_file = sys.argv[1:]
    with open(schema_file) as file:
        schema = file.read()
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    ca = certificate("test authority", None, ca_key, ca_key, [(x509.BasicConstraints(True, None), True), (usage, True)])
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    own = certificate("localhost", ca, key, ca_key, [(names, False)])

    def write(name, data):
        with open(os.path.join(folder, f".{name}"), "wb") as file:
            file.write(data)
        os.rename(os.path.join(folder, f".{name}"), os.path.join(folder, name))

    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write("server.pem", secret + own.public_bytes(pem))
    write("ca.pem", ca.public_bytes(pem))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = self.path == f"/schemas/ids/{number}"
            body = json.dumps({"schema": schema} if found else {"error_code": 40403}).encode()
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(os.path.join(folder, "server.pem"))
    # The handshake is left to the thread of the connection: one that fails must not end the server.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    write("port", str(server.server_port).encode())
    server.serve_forever()


main()

# SPDX-License-Identifier: Apache-2.0
"""A broker that wants to know who speaks to it: TLS with client certificates, SASL over TLS, and ACLs;
and a server that gives tokens as an OIDC provider does.

Beside the listener of lab.kafka, by which the tests look (as a super user), it has two more. Their
certificate is for the name localhost alone.
"""
import base64
import http.server
import json
import threading
import time
import urllib.parse

from . import kafka
from .cluster import free_port, openssl

SASL = "listener.name.sasl_ssl."
MODULE = "org.apache.kafka.common.security."
EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


class SecureBroker(kafka.Broker):
    """users: name and password for PLAIN; scram: the same for both kinds of SCRAM."""

    def __init__(self, users, scram, **settings):
        super().__init__(**settings)
        self.users, self.scram = users, scram

    @property
    def tls(self):
        return f"localhost:{self.more_listeners['SSL']}"

    @property
    def sasl(self):
        return f"localhost:{self.more_listeners['SASL_SSL']}"

    def prepare(self):
        self.more_listeners = {"SSL": free_port(), "SASL_SSL": free_port()}
        self.ca, self.other_ca = self.authority("ca"), self.authority("other")
        cert, key = self.certificate("server", "localhost", names="DNS:localhost")
        pem = self.folder / "server.pem"
        # Kafka reads PKCS8 keys.
        openssl("pkcs8", "-topk8", "-nocrypt", "-in", key, "-out", self.folder / "server.pk8")
        pem.write_text((self.folder / "server.pk8").read_text() + cert.read_text() + self.ca.read_text())
        pem.chmod(0o644)
        self.cert, self.key = self.certificate("client", "narwal")
        users = " ".join(f'user_{name}="{password}"' for name, password in self.users.items())
        self.settings.update({
            "listener.security.protocol.map":
                "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL",
            "ssl.keystore.type": "PEM", "ssl.keystore.location": pem,
            "ssl.truststore.type": "PEM", "ssl.truststore.location": self.ca,
            "listener.name.ssl.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            f"{SASL}plain.sasl.jaas.config": f"{MODULE}plain.PlainLoginModule required {users};",
            f"{SASL}scram-sha-256.sasl.jaas.config": f"{MODULE}scram.ScramLoginModule required;",
            f"{SASL}scram-sha-512.sasl.jaas.config": f"{MODULE}scram.ScramLoginModule required;",
            f"{SASL}oauthbearer.sasl.jaas.config": f"{MODULE}oauthbearer.OAuthBearerLoginModule required;",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS"})
        self.format_words = [word for kind in ("SCRAM-SHA-256", "SCRAM-SHA-512")
                             for name, password in self.scram.items()
                             for word in ("--add-scram", f"{kind}=[name={name},password={password}]")]

    def authority(self, name):
        cert = self.folder / f"{name}.crt"
        openssl("req", "-x509", *EC, "-keyout", self.folder / f"{name}.key", "-out", cert, "-days", "2",
                "-subj", f"/CN=narwal test {name}")
        return cert

    def certificate(self, name, who, names=None):
        """Signed by our authority; the certificate and its key."""
        cert, key, request = (self.folder / f"{name}.{kind}" for kind in ("crt", "key", "csr"))
        more = self.folder / f"{name}.names"
        more.write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        openssl("req", *EC, "-keyout", key, "-out", request, "-subj", f"/CN={who}")
        openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey", self.folder / "ca.key",
                "-CAcreateserial", "-out", cert, "-days", "2", "-extfile", more)
        return cert, key

    def allow(self, users, operations, *resource):
        """resource: as AclCommand takes it."""
        self.tool("org.apache.kafka.tools.AclCommand", "--bootstrap-server", self.address, "--add",
                  *(word for user in users for word in ("--allow-principal", f"User:{user}")),
                  *(word for operation in operations for word in ("--operation", operation)), *resource)


class Tokens:
    """Gives tokens to who knows the secret; use as a context manager. They are not signed: the broker's
    own handler for tests takes them, as it does those that a client makes for itself."""

    def __init__(self, client, secret, seconds=3600):
        self.client, self.secret, self.seconds = client, secret, seconds
        self.asked, self.refused = [], 0

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/token"

    def __enter__(self):
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                outer.answer(self, urllib.parse.parse_qs(body))

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, request, asked):
        basic = base64.b64encode(f"{self.client}:{self.secret}".encode()).decode()
        good = request.headers["Authorization"] == f"Basic {basic}"
        self.asked.append(asked)
        self.refused += not good
        said = json.dumps({"access_token": self.token(), "token_type": "Bearer", "expires_in": self.seconds}
                          if good else {"error": "invalid_client"}).encode()
        request.send_response(200 if good else 401)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(said)))
        request.end_headers()
        request.wfile.write(said)

    def token(self):
        now = int(time.time())
        parts = ({"alg": "none"}, {"sub": self.client, "iat": now, "exp": now + self.seconds, "scope": ["kafka"]})
        return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
                        for part in parts) + "."

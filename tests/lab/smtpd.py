#!/usr/bin/python3
"""Many mail servers in one process: for each NAME,IP,PEM it greets on IP:25,
offers STARTTLS and serves what is in PEM at that instant.

smtpd.py NAME,IP,PEM ..."""

import socketserver
import ssl
import sys
import threading


class Session(socketserver.StreamRequestHandler):
    timeout = 10

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def handle(self):
        try:
            self.talk()
        except (OSError, ValueError):
            pass

    def talk(self):
        # At once: what is served is what is there when a client comes.
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.server.pem)
        self.say("220 " + self.server.name + " ESMTP")
        for _ in range(20):
            verb = self.rfile.readline(1000).strip().upper()
            if verb.startswith(b"EHLO"):
                self.say("250-" + self.server.name)
                self.say("250 STARTTLS")
            elif verb == b"STARTTLS":
                self.start_tls()
            elif verb in (b"QUIT", b""):
                self.say("221 bye")
                return
            else:
                self.say("250 ok")

    def start_tls(self):
        self.say("220 go ahead")
        self.wfile.flush()
        self.connection = self.context.wrap_socket(
            self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, name, ip, pem):
        super().__init__((ip, 25), Session)
        self.name = name
        self.pem = pem


for arg in sys.argv[1:]:
    threading.Thread(
        target=Server(*arg.split(",")).serve_forever, daemon=True).start()
threading.Event().wait()

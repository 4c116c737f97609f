"""What a censor does, as nftables rules for what passes from the client, and its two servers that stand in the way."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Final

from disruption.lab import BRIDGE, CENSOR_ADDRESS, CLIENT_ADDRESS, FORWARDER, PROXY, RELAY, SOCKS, Lab
from disruption.world import PORT

ADDRESS_BLOCK: Final = f"ip daddr {RELAY} drop"
ONLY_443: Final = f"ip saddr {CLIENT_ADDRESS} meta l4proto {{ tcp, udp }} th dport != 443 drop"
ALL_PROXIES: Final = f"ip daddr {{ {FORWARDER}, {SOCKS}, {PROXY}, {BRIDGE} }} drop"
RESETS: Final = f"ip saddr {CLIENT_ADDRESS} tcp dport {PORT} ct packets > 8 reject with tcp reset"
FREEZE: Final = f"tcp dport {PORT} ct bytes > 2500 drop\ntcp sport {PORT} ct bytes > 2500 drop"
LOOKS_LIKE_TLS: Final = f"""
ip saddr {CLIENT_ADDRESS} meta l4proto {{ tcp, udp }} th dport != 443 drop
ip saddr {CLIENT_ADDRESS} meta l4proto udp drop
ip saddr {CLIENT_ADDRESS} ct mark 1 accept
ip saddr {CLIENT_ADDRESS} @ih,0,24 0x160301 ct mark set 1 accept
ip saddr {CLIENT_ADDRESS} meta length > 70 drop
"""
"""The first bytes a client sends on a connection must be those of a TLS hello, and it must be to port 443."""


def server_name(name: str) -> str:
    """Reset whoever says this server name in a TLS hello, which is 0 to 20 bytes after byte 120 or so."""
    raw = name.encode("ascii")[:14]
    value = f"0x{raw.hex()}"
    return "\n".join(
        f"ip saddr {CLIENT_ADDRESS} tcp dport {PORT} @ih,{8 * at},{8 * len(raw)} {value} reject with tcp reset"
        for at in range(100, 240)
    )


def blocked(*addresses: str) -> str:
    """Nothing passes to these."""
    return f"ip daddr {{ {', '.join(addresses)} }} drop"


_PORTAL: Final = """
import socketserver, sys
class Page(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(4096)
        self.request.sendall(b"HTTP/1.1 302 Found\\r\\nLocation: http://login.portal.test/\\r\\nContent-Length: 0\\r\\n"
                             b"Connection: close\\r\\n\\r\\n")
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
with Server((sys.argv[1], 8081), Page) as server:
    print("portal", flush=True)
    server.serve_forever()
"""
_INTERCEPTOR: Final = """
import socket, ssl, sys, threading
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
listening = socket.create_server((sys.argv[1], 9444))
print("interceptor", flush=True)
def read(raw):
    try:
        with context.wrap_socket(raw, server_side=True) as secured:
            while data := secured.recv(65536):
                with open(sys.argv[4], "ab") as heard:
                    heard.write(data)
    except OSError:
        pass
while True:
    raw, _ = listening.accept()
    threading.Thread(target=read, args=(raw,), daemon=True).start()
"""
TO_PORTAL: Final = f"nat ip saddr {CLIENT_ADDRESS} tcp dport != 53 dnat ip to {CENSOR_ADDRESS}:8081"


def to_interceptor(address: str, port: int) -> str:
    """Whoever connects there gets the interceptor."""
    return f"nat ip daddr {address} tcp dport {port} dnat ip to {CENSOR_ADDRESS}:9444"


def portal(lab: Lab) -> subprocess.Popen[str]:
    """A sign-in page that answers everything."""
    return lab.start(lab.censor, sys.executable, "-c", _PORTAL, CENSOR_ADDRESS, says="portal")


def interceptor(lab: Lab, name: str) -> subprocess.Popen[str]:
    """TLS for this name, signed by an authority whose certificate is then in ``root.pem``; it notes what it reads."""
    folder = lab.folder / "interceptor"
    folder.mkdir()
    end = time.strftime("%Y%m%d")
    (folder / "names").write_text(f"subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    for command in (
        ("req", "-x509", *new, "-keyout", "root.key", "-out", "root.pem", "-days", "9", "-subj", f"/CN=Root {end}"),
        ("req", *new, "-keyout", "leaf.key", "-out", "leaf.csr", "-subj", f"/CN={name}"),
        ("x509", "-req", "-in", "leaf.csr", "-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "9",
         "-extfile", "names", "-out", "leaf.pem"),
    ):  # fmt: skip
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True)
    paths = [str(folder / each) for each in ("leaf.pem", "leaf.key", "heard")]
    return lab.start(lab.censor, sys.executable, "-c", _INTERCEPTOR, CENSOR_ADDRESS, *paths, says="interceptor")

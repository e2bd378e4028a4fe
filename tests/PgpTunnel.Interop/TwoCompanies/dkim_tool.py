"""dkim_tool.py sign KEYFILE | verify PUBFILE: adds a DKIM signature to the message on stdin, or checks one (exit code 0 = valid)."""
import sys
import dkim

mode, file = sys.argv[1:3]
message = sys.stdin.buffer.read()
if mode == "sign":
    signature = dkim.sign(message, b"sel", b"a.example", open(file, "rb").read(), canonicalize=(b"simple", b"simple"), include_headers=[b"from", b"to", b"subject"])
    sys.stdout.buffer.write(signature + message)
else:
    key = "".join(line.strip() for line in open(file) if "-----" not in line)
    sys.exit(0 if dkim.verify(message, dnsfunc=lambda name, timeout=5: ("v=DKIM1; k=rsa; p=" + key).encode()) else 1)

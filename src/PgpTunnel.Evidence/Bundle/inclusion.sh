#!/bin/sh
# inclusion.sh FOLDER N FINGERPRINT - is record N in the log in that folder, whose head the key FINGERPRINT (40 digits, upper case) signed?
# By gpg, openssl and coreutils alone. Hashes: RFC 6962 2.1; the way to the root: RFC 9162 2.1.3.2. Exit code 0 = yes, 65 = no.
set -eu
no() { echo "NO: $1"; exit 65; }
sha256() { openssl dgst -sha256 -r | cut -c 1-64 | tr a-f A-F; }
hex() { base64 -d | basenc --base16 -w 0; }
join() { { printf '\001'; printf '%s' "$1$2" | basenc -d --base16; } | sha256; }
record=$1/$2.json proof=$1/$2.tlog-proof head=$1/checkpoint
# The exit status, and the machine's lines: never what gpg writes for people.
status=$(gpg --batch --status-fd 1 --verify "$head.sig" "$head" 2>/dev/null) || no "the head is not signed"
printf '%s\n' "$status" | grep -q "^\[GNUPG:\] VALIDSIG .* $3\$" || no "the head is signed by another key"
size=$(sed -n 2p "$head") root=$(sed -n 3p "$head" | hex) n=$(sed -n 's/^index //p' "$proof")
[ "$n" = "$2" ] && [ "$n" -lt "$size" ] || no "the proof is of another record"
hash=$({ printf '\000'; cat "$record"; } | sha256) at=$n last=$((size - 1))
for step in $(sed -n '3,/^$/p' "$proof"); do
  [ "$last" -gt 0 ] || no "the proof is too long"
  step=$(printf '%s' "$step" | hex)
  if [ $((at % 2)) = 1 ] || [ "$at" = "$last" ]; then
    hash=$(join "$step" "$hash")
    while [ $((at % 2)) = 0 ] && [ "$at" != 0 ]; do at=$((at / 2)) last=$((last / 2)); done
  else
    hash=$(join "$hash" "$step")
  fi
  at=$((at / 2)) last=$((last / 2))
done
[ "$last" = 0 ] && [ "$hash" = "$root" ] || no "record $n is not in that log"
echo "record $n is in $(sed -n 1p "$head") at size $size"

#!/bin/bash
# world.sh [up|down|change ZONE nods|ds|bogus|records]: a whole DNSSEC world on loopback, in the scratch folder W.
#
#   root, TLD "example."  ->  good zones (algorithms 8, 13, 15, 16; NSEC, NSEC3, opt-out), insecure and broken ones, KeyTrap
#   served by 3 nsd (root, TLD, leaves); asked through 1 validating and 1 non-validating unbound on port RPORT
#
# Records in $EXTRA/<zone> are added to a zone before it is signed; TTL is that of all records.
# change: takes a zone's DS away or gives it back, breaks its signatures, or signs it anew with the records of EXTRA.  Debian: nsd unbound ldnsutils bind9-dnsutils python3
# Servers are asked at PORT, so unbound has a stub-zone for each zone (glue carries no port).
set -euo pipefail
export PATH=$PATH:/usr/sbin
EXTRA=${EXTRA:-/nonexistent}
W=${W:?give a scratch folder as W} PORT=${PORT:-5300} RPORT=${RPORT:-5310}
ROOT=127.0.53.1 TLD=127.0.53.2 LEAF=127.0.53.3 DEAD=127.0.53.99 VAL=127.0.53.10 DUMB=127.0.53.11
down() { for p in "$W"/run/*.pid; do [ -f "$p" ] && kill "$(cat "$p")" 2>/dev/null || true; done; sleep 0.3; }
[ "${1:-up}" = down ] && { down; exit 0; }
[ "${1:-up}" = up ] && [ -d "$W" ] && down; [ "${1:-up}" = up ] && rm -rf "$W"; mkdir -p "$W"/{k,z,run}; cd "$W/k"
day() { date -u -d "$1" +%Y%m%d%H%M%S; }
NOW=$(day '-1 hour') SOON=$(day '+30 days')
declare -A DS KSK ZSK ALG                       # DS[zone] = text for the parent
key() { # zone alg [bits] -> KSK/ZSK/DS
  local b=(); [ "$2" = RSASHA256 ] && b=(-b "${3:-2048}")
  KSK[$1]=$(ldns-keygen -k -a "$2" "${b[@]}" "$1"); ZSK[$1]=$(ldns-keygen -a "$2" "${b[@]}" "$1")
  DS[$1]=$(ldns-key2ds -n -2 "${KSK[$1]}.key"); }
sign() { # zone inception expiration [signzone options]
  local z=$1 i=$2 e=$3; shift 3; ldns-signzone "$@" -i "$i" -e "$e" -f "../z/$z" "../z/$z.raw" "${ZSK[$z]}" "${KSK[$z]}"; }
soa() { printf '$ORIGIN %s\n$TTL %s\n@ SOA ns.%s h.%s 1 3600 600 86400 %s\n' "$1" "${TTL:-300}" "${1#.}" "${1#.}" "${TTL:-60}"; }
HASH=$(printf gateway | sha256sum | cut -c1-56)  # RFC 7929 local-part hash
BIG=$(python3 -c 'import base64;print(base64.b64encode(bytes((i*7+i//251)%256 for i in range(3000))).decode())')
BIGTXT=$(python3 -c 'print(" ".join("\"%s\""%(chr(97+i)*250) for i in range(12)))')
leaf() { # zone [addr]: ordinary partner content
  soa "$1"; cat <<Z
@ NS ns
ns A ${2:-$LEAF}
@ MX 10 mx
@ TXT "apex of $1"
$HASH._openpgpkey OPENPGPKEY $BIG
big TXT $BIGTXT
*.wild TXT "wildcard"
here.wild TXT "explicit"
x.ent TXT "below an empty non-terminal"
MiXeD TXT "case"
bin TXT "\255\001\\200x"
Z
  if [ -f "$EXTRA/${1%.}" ]; then cat "$EXTRA/${1%.}"; else echo "_pgptunnel TXT \"policy of $1\""; fi
}
break_signatures() { # zone
  awk '$4=="RRSIG" && ($5=="TXT"||$5=="OPENPGPKEY"||$5=="NSEC"||$5=="TYPE61"){c=substr($NF,9,1);$NF=substr($NF,1,8) (c=="A"?"B":"A") substr($NF,10)}1' ../z/$1 > ../z/t; mv ../z/t ../z/$1; }
if [ "${1:-up}" = change ]; then
  . "$W/keys.env"; z=$2
  case $3 in
    nods) grep -v "^${z%%.*} DS " ../example.raw.all > ../z/example.raw; sign example $NOW $SOON;;
    ds) cp ../example.raw.all ../z/example.raw; sign example $NOW $SOON;;
    bogus) break_signatures $z;;
    records) leaf $z. > ../z/$z.raw; sign $z $NOW $SOON;;
  esac
  kill -HUP "$(cat "$W/run/nsd-tld.pid")" "$(cat "$W/run/nsd-leaf.pid")"; exit 0
fi
# ---- partner zones --------------------------------------------------------------------------------------------------
{ leaf a.example.; cat <<Z
alias CNAME _pgptunnel.b.example.
aliasins CNAME _pgptunnel.ins.example.
aliasbogus CNAME _pgptunnel.badsig.example.
aliasnx CNAME nope.b.example.
loop1 CNAME loop2
loop2 CNAME loop1
dn DNAME b.example.
*.wc CNAME _pgptunnel.b.example.
Z
} > ../z/a.example.raw;                     key a.example ECDSAP256SHA256; sign a.example $NOW $SOON
leaf b.example.   > ../z/b.example.raw;     key b.example ED25519;         sign b.example $NOW $SOON -n -t 0 -s ""
leaf rsa.example. > ../z/rsa.example.raw;   key rsa.example RSASHA256;     sign rsa.example $NOW $SOON -n -t 1 -s abcd
leaf ed448.example. > ../z/ed448.example.raw; key ed448.example ED448;     sign ed448.example $NOW $SOON
leaf sub.a.example. > ../z/sub.a.example.raw; key sub.a.example ECDSAP256SHA256; sign sub.a.example $NOW $SOON
{ cat ../z/a.example.raw; echo "sub NS ns.sub"; echo "ns.sub A $LEAF"; echo "sub DS ${DS[sub.a.example]#*DS}"; } > ../z/t; mv ../z/t ../z/a.example.raw
sign a.example $NOW $SOON
# ---- NSEC3 opt-out zone with an unsigned and a signed child ---------------------------------------------------------
leaf s.oo.example. > ../z/s.oo.example.raw; key s.oo.example ECDSAP256SHA256; sign s.oo.example $NOW $SOON
leaf u.oo.example. > ../z/u.oo.example
{ leaf oo.example.; echo "u NS ns.u"; echo "ns.u A $LEAF"; echo "s NS ns.s"; echo "ns.s A $LEAF"; echo "s DS ${DS[s.oo.example]#*DS}"; } > ../z/oo.example.raw
key oo.example ECDSAP256SHA256; sign oo.example $NOW $SOON -n -p -t 0 -s ""
# ---- insecure and broken zones --------------------------------------------------------------------------------------
leaf ins.example. > ../z/ins.example                                                           # delegated without DS
leaf expired.example. > ../z/expired.example.raw; key expired.example ECDSAP256SHA256; sign expired.example "$(day '-60 days')" "$(day '-30 days')"
leaf future.example.  > ../z/future.example.raw;  key future.example ECDSAP256SHA256;  sign future.example "$(day '+10 days')" "$SOON"
leaf badsig.example.  > ../z/badsig.example.raw;  key badsig.example ECDSAP256SHA256;  sign badsig.example $NOW $SOON
break_signatures badsig.example
leaf badds.example.   > ../z/badds.example.raw;   key badds.example ECDSAP256SHA256;   sign badds.example $NOW $SOON
DS[badds.example]=$(sed 's/[0-9a-f]\{8\}$/00000000/' <<<"${DS[badds.example]}")
leaf nosig.example. > ../z/nosig.example; key nosig.example ECDSAP256SHA256                    # DS above, nothing signed below
leaf unkalg.example. > ../z/unkalg.example; DS[unkalg.example]="unkalg.example. IN DS 12345 200 2 $(printf x | sha256sum | cut -c1-64)"
leaf sha1.example. > ../z/sha1.example.raw; key sha1.example RSASHA1; sign sha1.example $NOW $SOON   # algorithm 5
leaf hiiter.example. > ../z/hiiter.example.raw; key hiiter.example ECDSAP256SHA256; sign hiiter.example $NOW $SOON -n -t 500 -s ab
leaf exhaust.example. > ../z/exhaust.example.raw; key exhaust.example ECDSAP256SHA256; sign exhaust.example $NOW $SOON -n -t 100 -s "$(printf 'ab%.0s' $(seq 60))"   # as many iterations as are still followed, a long salt
key dead.example ECDSAP256SHA256                                                               # nobody listens
leaf deadins.example. $DEAD > /dev/null
# ---- KeyTrap: NK DNSKEYs with one key tag, NS garbage RRSIGs ---------------------------------------------------------
leaf keytrap.example. > ../z/keytrap.example.raw; key keytrap.example RSASHA256
python3 - "${ZSK[keytrap.example]}.key" "${NK:-80}" >> ../z/keytrap.example.raw <<'P'
import base64,random,struct,sys
sm=lambda b:sum(struct.unpack(">%dH"%(len(b)//2),b))
fold=lambda a:(a+(a>>16))&0xffff
pad=lambda b:b+b"\0" if len(b)%2 else b
pk=base64.b64decode(open(sys.argv[1]).read().split("DNSKEY")[1].split(";")[0].split(None,3)[3]); want=fold(sm(pad(struct.pack(">HBB",256,3,8)+pk)))
import math
sp=[p for p in range(3,2000,2) if all(p%q for q in range(3,int(p**.5)+1,2))]; prim=math.prod(sp)
r=random.Random(1)
for _ in range(int(sys.argv[2])):
    ok=False
    while not ok:                                          # huge exponent: each verify costs as much as a signature
        e=r.getrandbits(2040)|1|1<<2039; n=r.getrandbits(2048)|1|1<<2047
        b=bytearray(b"\0"+struct.pack(">H",255)+e.to_bytes(255,"big")+n.to_bytes(256,"big")); b[300:302]=b"\0\0"
        s=sm(pad(struct.pack(">HBB",256,3,8)+bytes(b)))
        for w in [(want-fold(s)+d)&0xffff for d in (-2,-1,0,1,2)]:
            if fold(s+w)==want: b[300:302]=struct.pack(">H",w); ok=math.gcd(int.from_bytes(b[258:],"big"),prim)==1; break
    print("@ DNSKEY 256 3 8",base64.b64encode(bytes(b)).decode())
P
sign keytrap.example $NOW $SOON
python3 - ../z/keytrap.example "${NK:-80}" <<'P'
import base64,random,sys
L=open(sys.argv[1]).read().splitlines(); r=random.Random(2); out=[]
for l in L:
    f=l.split()
    if len(f)>5 and f[3]=="RRSIG" and f[4]=="TXT" and f[0].startswith("_pgptunnel"):
        for _ in range(int(sys.argv[2])): out.append(" ".join(f[:-1]+[base64.b64encode(r.getrandbits(2040).to_bytes(256,"big")).decode()]))
    else: out.append(l)
open(sys.argv[1],"w").write("\n".join(out)+"\n")
P
# ---- TLD and root ---------------------------------------------------------------------------------------------------
{ soa example.; echo "@ NS ns"; echo "ns A $TLD"
  for z in a b rsa ed448 oo ins expired future badsig badds nosig unkalg sha1 hiiter exhaust dead keytrap; do
    a=$LEAF; [ $z = dead ] && a=$DEAD; echo "$z NS ns.$z"; echo "ns.$z A $a"; [ -n "${DS[$z.example]:-}" ] && echo "$z DS ${DS[$z.example]#*DS}"
  done; } > ../z/example.raw; key example ECDSAP256SHA256; sign example $NOW $SOON
{ soa .; echo ". NS ns.root."; echo "ns.root. A $ROOT"; echo "example. NS ns.example."; echo "ns.example. A $TLD"; echo "example. DS ${DS[example]#*DS}"; } > ../z/root.raw
cp ../z/example.raw ../example.raw.all; declare -p DS KSK ZSK > "$W/keys.env"
key . RSASHA256; ldns-signzone -o . -i $NOW -e $SOON -f ../z/root ../z/root.raw "${ZSK[.]}" "${KSK[.]}"
ldns-key2ds -n -2 "${KSK[.]}.key" > ../root.ds; grep -v '^;' "${KSK[.]}.key" > ../root.key; cp ../root.ds ../root.anchors
# ---- servers --------------------------------------------------------------------------------------------------------
leafzones=$(cd ../z; ls | grep -v '\.raw$' | grep -vE '^(root|example)$')
nsdconf() { # name ip zones...
  local n=$1 ip=$2; shift 2; { cat <<C
server:
  ip-address: $ip
  port: $PORT
  username: ""
  chroot: ""
  zonesdir: "$W/z"
  database: ""
  pidfile: "$W/run/nsd-$n.pid"
  logfile: "$W/run/nsd-$n.log"
  zonelistfile: "$W/run/nsd-$n.list"
  xfrdfile: "$W/run/nsd-$n.xfrd"
  xfrdir: "$W/run"
  ipv4-edns-size: 1232
  rrl-ratelimit: 0
  minimal-responses: yes
remote-control:
  control-enable: no
C
  for z in "$@"; do printf 'zone:\n  name: "%s"\n  zonefile: "%s"\n' "$([ $z = root ] && echo . || echo $z)" "$z"; done; } > "$W/run/nsd-$n.conf"
  nsd -c "$W/run/nsd-$n.conf"; }
nsdconf root $ROOT root; nsdconf tld $TLD example; nsdconf leaf $LEAF $leafzones
stubs() { local z ip
  for z in . example dead.example $leafzones; do case $z in .) ip=$ROOT;; example) ip=$TLD;; dead.example) ip=$DEAD;; *) ip=$LEAF;; esac
    printf 'stub-zone:\n  name: "%s"\n  stub-addr: %s@%s\n  stub-prime: no\n' "$z" $ip $PORT; done; }
stubs > "$W/stubs.conf"
ubconf() { # name ip modules extra
  { cat <<C
server:
  interface: $2@$RPORT
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  do-ip6: no
  username: ""
  chroot: ""
  directory: "$W"
  pidfile: "$W/run/unbound-$1.pid"
  logfile: "$W/run/unbound-$1.log"
  use-syslog: no
  verbosity: 1
  val-log-level: 2
  ede: yes
  module-config: "$3"
  num-threads: 1
  outgoing-port-permit: 20000-60000
  unwanted-reply-threshold: 0
  local-zone: "127.in-addr.arpa." nodefault
$4
remote-control:
  control-enable: no
C
  cat "$W/stubs.conf"; } > "$W/run/unbound-$1.conf"; unbound -c "$W/run/unbound-$1.conf"; }
ubconf val $VAL "validator iterator" "  trust-anchor-file: $W/root.anchors"
ubconf dumb $DUMB "iterator" ""
ok=; for i in $(seq 50); do dig +short +time=1 +tries=1 @$VAL -p $RPORT _pgptunnel.a.example TXT 2>/dev/null | grep -q . && { ok=1; break; }; sleep 0.1; done; [ $ok ] || { echo "resolver does not answer"; exit 1; }
echo "HASH=$HASH" > "$W/env"; echo "world up: validating $VAL#$RPORT, non-validating $DUMB#$RPORT, auth $ROOT/$TLD/$LEAF#$PORT, anchor $W/root.ds"

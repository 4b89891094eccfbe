#!/bin/sh
# Verifies this folder with openssl, sha256sum and POSIX tools only
# (sh, awk, cmp, cut, find, grep, mktemp, od, sed, sort, tail, tr, wc, xargs). What it means: VERIFY.md.
#   sh verify.sh [FOLDER]       trusts root.cert.pem of the folder: compare its fingerprint with the bureau's
#   ROOT=FILE sh verify.sh ...  trusts FILE; what the root's own key signed (a root-deed) is verified by it too
# A record is PROVEN by the bureau's signature over the day it lies in, where a list and the book say that this key
# stood then. A station's (a request), a clerk's (a deed) or the gateway's own signature (a signed-reply) is verified too,
# and says who spoke; not when: whoever held that key since could have signed with any moment. So a record of a day that is not signed is UNPROVEN.
# payment.json, day.json and status/ are the bureau's own book: never proven, checked against SHA256SUMS only.
# Exit 0 and a last line OK: every record is proven. 3 and NOT PROVEN YET: nothing is wrong, and at least one record is
# UNPROVEN. 1 and FAIL: something is not what it says it is; nothing else is told.
set -eu; LC_ALL=C; export LC_ALL; umask 077
cd "${1:-$(dirname "$0")}"
ARC=2.25.142285106485850155371164267729557364481
ROOT=${ROOT:-root.cert.pem}
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT; export W
mkdir "$W/head" "$W/leaf" "$W/tree" "$W/sig" "$W/pub"
exec 4>&1  # also from where its output would be taken for a value
die() { echo "FAIL: $1" >&4; exit 1; }
one() { # FILE REGEX: its one line, which is of this form and ends with a newline; nothing else is in it
  [ -f "$1" ] && [ "$(wc -l <"$1")" -eq 1 ] && grep -qxE "$2" "$1" && [ "$(tail -c 1 "$1" | od -An -tx1 | tr -d ' ')" = 0a ] ||
    die "$1: malformed"
  cat "$1"
}
HEX='[0-9a-f]{64}'; MOMENT='[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z'
cat >"$W/lib.awk" <<'AWK'
function fail(why) { print why >(ENVIRON["W"] "/why"); bad = 1; exit 1 }
function hex(s, n) { return length(s) == n && s !~ /[^0-9a-f]/ }
function seconds(t, p, y, m) { # RFC 3339 UTC to Unix seconds; -1: no moment
  if (length(t) != 24 || t !~ /^[0-9]+-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9][.][0-9][0-9][0-9]Z$/) return -1
  split(t, p, /[-T:.Z]/); y = p[1]; m = p[2] + 0; if (m <= 2) { y--; m += 12 }
  return (365 * y + int(y / 4) - int(y / 100) + int(y / 400) + int((153 * (m - 3) + 2) / 5) + p[3] - 719469) * 86400 \
    + p[4] * 3600 + p[5] * 60 + p[6]
}
function digit(h, i) { return index("0123456789abcdef", substr(h, i, 1)) - 1 }
function octal(h, out, i) { # hex to what printf makes bytes of
  out = ""
  for (i = 1; i < length(h); i += 2) out = out sprintf("\\%03o", digit(h, i) * 16 + digit(h, i + 1))
  return out
}
function base64(h, out, i, n) { # of 32 bytes in hex
  out = ""; h = h "00"
  for (i = 1; i < length(h); i += 3) { n = digit(h, i) * 256 + digit(h, i + 1) * 16 + digit(h, i + 2)
    out = out substr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", int(n / 64) + 1, 1) \
      substr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", n % 64 + 1, 1) }
  return substr(out, 1, 43) "="
}
AWK
run() { # [-v NAME=VALUE] FILE: awk over it, by the program on standard input; dies with what it finds wrong
  cat "$W/lib.awk" - >"$W/run.awk"
  awk -f "$W/run.awk" "$@" || die "$(cat "$W/why" 2>/dev/null || echo "awk over $*")"
}
hashes() { xargs sha256sum | cut -c1-64; } # of the files named, in their order
fill() { # PREFIX COUNT: each COUNT hashes of $W/level become one, behind that byte; a last one alone stays as it is
  run -v prefix="$1" -v count="$2" "$W/level" >"$W/fill" <<'AWK'
{ got = got $0; if (++n % count == 0) { printf "printf '\\%s%s' >\"$W/tree/%d\"\n", prefix, octal(got), ++files; got = "" } }
END { if (got != "") print ":" got }
AWK
  ODD=$(sed -n 's/^://p' "$W/fill")
  sed '/^:/d' "$W/fill" >"$W/do"; . "$W/do"
  awk '{ print ENVIRON["W"] "/tree/" NR }' "$W/do" | hashes >"$W/level"
  [ -z "$ODD" ] || echo "$ODD" >>"$W/level"
}

# 1. every file is as it was written, none is missing, none was put beside; nothing here but plain files and folders
[ -z "$(find . ! -type f ! -type d)" ] || die "something here is neither a file nor a folder"
find . -type f ! -path ./SHA256SUMS | sed 's|^\./||' | sort >"$W/names"
grep -qvE '^[A-Za-z0-9._/-]+$' "$W/names" && die "a file of a name of no house"
xargs sha256sum <"$W/names" >"$W/sums" && cmp -s "$W/sums" SHA256SUMS || die "a file is not what SHA256SUMS says"
# What this folder is: one payment, or a whole day; and of how many records.
[ -f contents ] && [ "$(wc -l <contents)" -eq 2 ] || die "contents: malformed"
WHAT=$(sed -n 1p contents); COUNT=$(sed -n 's/^records //p' contents)
printf '%s\nrecords %s\n' "$WHAT" "$COUNT" | cmp -s - contents || die "contents: malformed"
printf '%s\n' "$WHAT" | grep -qxE 'payment [0-9A-Z]{24}|whole day [0-9]{4}-[0-9]{2}-[0-9]{2}' || die "contents: malformed"
DAY=${WHAT#whole day }; [ "$DAY" != "$WHAT" ] || DAY=
ALL=$(find records -type d ! -path records | wc -l); ALL=$((ALL))
[ "$COUNT" = "$ALL" ] && [ "$ALL" -gt 0 ] || die "contents says $COUNT records, $ALL are here"

# 2. each day: six lines; who signed it goes to $W/signers: FOLDER ROLE KEYID MOMENT LIST DATA
: >"$W/signers"; : >"$W/days"
for D in days/*/; do
  [ -d "$D" ] || continue
  S=${D}statement; [ -f "$S" ] || die "$D: no statement"
  [ "$(wc -l <"$S")" -eq 6 ] && sed -n 1p "$S" | grep -qx 'bianmin-day-v1' || die "$D: statement"
  [ "$(sed -n 's/^day //p' "$S")" = "$(basename "$D")" ] || die "$D: another day's statement"
  N=$(sed -n 's/^count //p' "$S"); R=$(sed -n 's/^root //p' "$S")
  printf '%s %s\n' "$N" "$R" | grep -qxE "[0-9]{1,12} $HEX" || die "$D: statement"
  echo "$(basename "$D") $N $R" >>"$W/days"
  if [ -f "${D}signature" ]; then
    L=-; [ ! -e "${D}crl" ] || L=$(one "${D}crl" "$HEX-[0-9]+\\.pem")
    echo "$D 5 $(one "${D}keyid" "$HEX") $(one "${D}signed_at" "$MOMENT") $L statement" >>"$W/signers"
  fi
done
[ -z "$DAY" ] || [ "$(cut -d' ' -f1,2 "$W/days")" = "$DAY $ALL" ] || die "not the $ALL records of $DAY and nothing else: its statement says $(cut -d' ' -f2 "$W/days")"

# 3. each record, in one pass over all: ID KIND LEAF DAY INDEX goes to $W/records, who signed it to $W/signers
xargs wc -c <"$W/names" | awk 'NF == 2 && $2 != "total" { print $1 }' >"$W/sizes"
[ "$(wc -l <"$W/sizes")" -eq "$(wc -l <"$W/names")" ] || die "a file of a name of no house"
: >"$W/nonces"; : >"$W/deeds"; : >"$W/cats"; : >"$W/requests"; : >"$W/told"
run - "$W/sums" >"$W/records" <<'AWK'
function first(name, line) { # the first line of a file of this record
  if (!(name in size)) fail(at ": " name " is missing")
  line = ""; getline line <("records/" id "/" name); close("records/" id "/" name); return line
}
function value(name, line) { # all of a file, which has no newline
  line = first(name); if (length(line) != size[name]) fail(at ": " name " is malformed"); return line
}
function row(name, line) { # the one line of a file
  line = first(name); if (length(line) + 1 != size[name]) fail(at ": " name " is malformed"); return line
}
function header(text, name) { # a file of this text, once
  name = text; gsub(/[^A-Za-z0-9]/, "_", name); name = w "/head/" name
  if (!(name in made)) { made[name] = 1; printf "%s", text >name; close(name) }
  return name
}
function message(recv, tag, file, line, n, p, i, v, seen, lines) { # its base names the body's hash, the key, when and what for
  file = "records/" id "/base"; lines = 0
  while ((getline line <file) > 0) {
    if (line == "\"content-digest\": sha-256=:" base64(sum["body"]) ":") seen["body"] = 1
    if (substr(line, 1, 21) != "\"@signature-params\": ") continue
    if (lines++) fail(at ": two signature parameters")
    n = split(line, p, ";")
    for (i = 2; i <= n; i++) { v = index(p[i], "="); line = substr(p[i], 1, v - 1)
      if (line in seen) fail(at ": its base names " i " twice"); seen[line] = substr(p[i], v + 1) }
  }
  close(file)
  if (!("keyid" in seen) || seen["keyid"] != "\"" keyid "\"") fail(at ": the base names another key")
  if (!("tag" in seen) || seen["tag"] != "\"" tag "\"") fail(at ": signed for another purpose")
  if (!("body" in seen)) fail(at ": the body is not what was signed")
  if (tag == "bianmin-reply-v1") { # kept after it was told, however late; nobody answers before he is asked
    if (seen["created"] !~ /^[0-9]+$/ || recv < seen["created"] - 60) fail(at ": FORGED, it was kept before it was signed")
    return
  }
  if (seen["created"] !~ /^[0-9]+$/ || seen["expires"] !~ /^[0-9]+$/ || seen["nonce"] !~ /^"[A-Za-z0-9_-]+"$/) fail(at ": no window")
  if (recv < seen["created"] - 60 || recv > seen["expires"] + 0) fail(at ": FORGED, it was received outside the window it was signed for")
  print keyid, seen["nonce"], seen["created"], at >(w "/nonces")
}
function deed(recv, line) {
  line = value("base")
  if (!match(line, /"at":[0-9]+/)) fail(at ": no deed")
  line = int(substr(line, RSTART + 5, RLENGTH - 5) / 1000)
  if (recv < line - 60 || recv > line + 300) fail(at ": FORGED, it was received outside the window it was signed for")
  print sum["base"], at >(w "/deeds")
}
function told(line, file, asked, serial) { # whose request a reply answers, and of which payment it tells; a problem tells of none
  file = "records/" id "/base"; asked = "-"; serial = "-"
  while ((getline line <file) > 0) if (substr(line, 1, 26) == "\"signature\";req;key=\"bm\": ") asked = substr(line, 27)
  close(file)
  if (asked !~ /^:[A-Za-z0-9+\/=]+:$/) fail(at ": it names no request")
  line = first("body")
  if (line !~ /^[{]"type":/ && match(line, /"gateway_serial":"[0-9A-Z]+"/)) serial = substr(line, RSTART + 18, RLENGTH - 19)
  print asked, id, serial >(w "/told")
}
function done(kind, recv, role, leaf, day, place, list, i, cat) {
  if (id == "") return
  kind = value("kind"); keyid = value("keyid"); recv = seconds(value("received_at"))
  if (value("record_id") != id) fail("a folder of records/ is not named as its record")
  # What is printed about a record must not read like a verdict.
  if (id !~ /^[A-Za-z0-9]+$/ || kind !~ /^[A-Za-z0-9._-]+$/) fail("a record of a name or kind of no house")
  if (recv < 0) fail(at ": no moment")
  leaf = row("leaf"); if (!hex(leaf, 64)) fail(at ": leaf is malformed")
  # the leaf: SHA-256 over name, length and bytes of each field
  cat = ""
  for (i = 1; i <= fields; i++) {
    if (!(field[i] in size)) fail(at ": " field[i] " is missing")
    cat = cat " \"" header((i == 1 ? "bianmin-record-v1\n" : "\n") field[i] " " size[field[i]] "\n") "\" records/" id "/" field[i]
  }
  print "cat" cat " \"" w "/head/newline\" >\"" w "/leaf/" id "\"" >(w "/cats")
  day = "-"; place = "-"; list = "-"
  if (("day" in size) + ("index" in size) == 1) fail(at ": day and index go together")
  if ("day" in size) { day = row("day"); place = row("index"); if (place !~ /^[0-9]+$/ || length(place) > 12) fail(at ": index is malformed") }
  if (day != "-" && day !~ /^[0-9-]+$/) fail(at ": day is malformed")
  role = kind == "request" ? 1 : kind == "deed" ? 2 : kind == "signed-reply" ? 4 : kind == "root-deed" ? "root" : 0
  if (role) {
    if (!hex(keyid, 64)) fail(at ": no keyid")
    if ("crl" in size) { list = row("crl"); if (list !~ /^[0-9a-f]+-[0-9]+[.]pem$/) fail(at ": crl is malformed") }
    if (role == 2 || role == "root") deed(recv); else message(recv, role == 1 ? "bianmin-v1" : "bianmin-reply-v1")
    if (role == 1) print id >(w "/requests")
    if (role == 4) told()
    print "records/" id "/", role, keyid, value("received_at"), list, "base" >(w "/signers.records")
  }
  print id, kind, leaf, day, place
}
BEGIN { w = ENVIRON["W"]; fields = split("record_id kind received_at base signature body keyid", field, " ")
  printf "\n" >(w "/head/newline"); printf "" >(w "/signers.records") }
{ if ((getline bytes <(w "/sizes")) < 1) fail("sizes")
  if (substr($2, 1, 8) != "records/") next
  if (split($2, p, "/") != 3) fail($2 ": a file of no record")
  if (p[2] != id) { done(); id = p[2]; at = "records/" id; split("", size); split("", sum) }
  size[p[3]] = bytes + 0; sum[p[3]] = $1 }
END { if (bad) exit 1; done(); if (bad) exit 1 }
AWK
cat "$W/signers.records" >>"$W/signers"
[ "$(wc -l <"$W/records")" -eq "$ALL" ] || die "a folder of records/ is empty"
. "$W/cats"
cut -d' ' -f1 "$W/records" | sed "s|^|$W/leaf/|" | hashes >"$W/leaves"
cut -d' ' -f3 "$W/records" | cmp -s - "$W/leaves" || die "a leaf is not the hash of its record"
sort -k1,2 -k3,3n "$W/nonces" >"$W/sorted"
run "$W/sorted" <<'AWK'
$1 == key && $2 == nonce && $3 - created <= 720 { fail($4 " and " before " are FORGED: one signed request, shown twice") }
{ key = $1; nonce = $2; created = $3; before = $4 }
AWK
sort "$W/deeds" >"$W/sorted"
run "$W/sorted" <<'AWK'
$1 == base { fail($2 " and " before " are FORGED: one signed deed, shown twice") }
{ base = $1; before = $2 }
AWK
# Each reply against the request it names, and against the payment that this folder says it is of. What lies under no
# signature is told as such: "said to be of payment".
while read -r ID; do echo ":$(openssl base64 -A -in "records/$ID/signature"): $ID"; done <"$W/requests" >"$W/signatures"
run -v what="$WHAT" "$W/told" >"$W/answers" <<'AWK'
BEGIN { while ((getline line <(ENVIRON["W"] "/signatures")) > 0) { split(line, p, " "); request[p[1]] = p[2] } }
{ print "records/" $2 "/", $1 in request ? request[$1] : "-"
  if (what ~ /^payment / && $3 != "-" && what != "payment " $3) fail("records/" $2 ": it tells of payment " $3 ", and this is said to be of another")
  if (what == "payment " $3) print "named" }
AWK
[ -n "$DAY" ] || grep -qx named "$W/answers" || WHAT="said to be of $WHAT"

# 4. each certificate: the one named, of its role alone, and under the root at the moment it signed; not on the list of
# its authority that was in force then. KEYID LIST SECONDS HOW goes to $W/stood. A validity has two ends: where the first
# and the last moment are well, so is every one between.
while read -r F ROLE K T L DATA; do
  [ "$ROLE" = root ] || continue
  [ "$(openssl x509 -in "$ROOT" -outform DER | sha256sum | cut -c1-64)" = "$K" ] || die "$F: FORGED, it is not by the root"
  echo "$T" >"$W/moment"; echo '{ print seconds($1) }' | run "$W/moment" >"$W/at"
  openssl verify -x509_strict -attime "$(cat "$W/at")" -CAfile "$ROOT" "$ROOT" >/dev/null 2>&1 || die "$F: the root was not valid then"
  openssl x509 -in "$ROOT" -pubkey -noout >"$W/pub/$K"
  if openssl pkey -pubin -in "$W/pub/$K" -noout -text | grep -q prime256v1; then : >"$W/pub/$K.ec"; fi
done <"$W/signers"
run "$W/signers" >"$W/asked" <<'AWK'
$2 != "root" { print $3, $2, $5, seconds($4) }
AWK
sort -u "$W/asked" | sort -k1,3 -k4,4n >"$W/sorted"
how() { # KEYID LIST SECONDS: sets HOW
  HOW=ok; C=certificates/$1.pem; set -- "$@" -x509_strict -attime "$3" -CAfile "$ROOT" -untrusted issuing.cert.pem
  [ "$2" = - ] || { [ -f "crls/$2" ] || die "the list $2 is missing"; set -- "$@" -crl_check -CRLfile "crls/$2"; }
  L=$2 AT=$3; shift 3
  SAID=$(openssl verify "$@" "$C" 2>&1) && return 0
  case "$SAID" in
    *'error 23 '*) HOW=revoked ;;
    *'error 9 '*|*'error 10 '*) HOW=expired ;;
    *'error 11 '*|*'error 12 '*|*'error 3 '*|*'error 8 '*|*'CRL'*) die "crls/$L is no list in force at $AT" ;;
    *) die "$C does not stand under the root at $AT" ;;
  esac
}
: >"$W/stood"; KNOWN=
run "$W/sorted" >"$W/groups" <<'AWK'
{ now = $1 " " $2 " " $3; if (now != group) { if (group != "") print group, first, last; group = now; first = $4 } last = $4 }
END { if (group != "") print group, first, last }
AWK
while read -r K ROLE L FIRST LAST; do
  C=certificates/$K.pem
  if [ "$K" != "$KNOWN" ]; then
    [ -f "$C" ] || die "certificate $K is missing"
    [ "$(openssl x509 -in "$C" -outform DER | sha256sum | cut -c1-64)" = "$K" ] || die "$C is not the certificate $K"
    openssl x509 -in "$C" -pubkey -noout >"$W/pub/$K"
    openssl pkey -pubin -in "$W/pub/$K" -noout -text | grep -q prime256v1 && : >"$W/pub/$K.ec"
    if [ -f "status/$K" ]; then
      grep -qvE "^$MOMENT [a-z]+ [A-Z-]+ [A-Z]+ [^ ]+\$" "status/$K" && die "status/$K: malformed"
    fi
    KNOWN=$K
  fi
  U=$(openssl x509 -in "$C" -noout -ext extendedKeyUsage | sed -n '2,$p' | tr -d ' ')
  [ "$U" = "$ARC.$ROLE" ] || die "$C has not the role $ARC.$ROLE, or not alone"
  how "$K" "$L" "$FIRST"; ENDS=$HOW; how "$K" "$L" "$LAST"
  if [ "$ENDS$HOW" = okok ] || [ "$ENDS$HOW" = revokedrevoked ]; then
    echo "$K $L - $HOW" >>"$W/stood"
  else
    grep "^$K $ROLE $L " "$W/sorted" | cut -d' ' -f4 >"$W/each"
    while read -r AT; do how "$K" "$L" "$AT"; echo "$K $L $AT $HOW" >>"$W/stood"; done <"$W/each"
  fi
done <"$W/groups"

# 5. each signature: r and s of 32 bytes each for P-256, PKCS#1 v1.5 for RSA
while read -r F ROLE K T L DATA; do
  [ -f "${F}signature" ] || die "$F: no signature"
  [ ! -f "$W/pub/$K.ec" ] || echo "${F}signature"
done <"$W/signers" >"$W/ec"
if [ -s "$W/ec" ]; then
  xargs wc -c <"$W/ec" | awk 'NF == 2 && $2 != "total" && $1 != 64 { print $2 }' >"$W/wrong"
  [ ! -s "$W/wrong" ] || die "$(sed -n 1p "$W/wrong") is not 64 bytes"
  xargs cat <"$W/ec" | od -An -v -tx1 | tr -d ' ' >"$W/hex"
  run "$W/hex" >"$W/do" <<'AWK'
function number(h) { # DER of an unsigned number
  while (length(h) > 2 && substr(h, 1, 2) == "00") h = substr(h, 3)
  if (digit(h, 1) > 7) h = "00" h
  return sprintf("02%02x", length(h) / 2) h
}
{ got = got $0
  if (NR % 4 == 0) {
    getline name <(ENVIRON["W"] "/ec"); gsub("/", "_", name)
    both = number(substr(got, 1, 64)) number(substr(got, 65, 64)); got = ""
    printf "printf '%s' >\"$W/sig/%s\"\n", octal(sprintf("30%02x", length(both) / 2) both), name
  } }
AWK
  . "$W/do"
fi
while read -r F ROLE K T L DATA; do
  SIG=${F}signature
  [ ! -f "$W/pub/$K.ec" ] || SIG=$W/sig/$(echo "$SIG" | tr / _)
  openssl dgst -sha256 -verify "$W/pub/$K" -signature "$SIG" "$F$DATA" >/dev/null 2>&1 || die "the signature ${F}signature does not hold"
done <"$W/signers"

# 6. the way from each leaf to its day's root. A whole day: the tree of all its leaves. Else a path, whose shape is the
# one that index and count imply
if [ -n "$DAY" ]; then
  sort -k5,5n "$W/records" >"$W/sorted"
  run -v day="$DAY" "$W/sorted" >"$W/level" <<'AWK'
$4 != day || $5 != NR - 1 { fail("records/" $1 ": not in its place of " day) }
{ print $3 }
AWK
  [ -z "$(find records -name path)" ] || die "a whole day has no paths"
  fill 000 1
  while [ "$(wc -l <"$W/level")" -gt 1 ]; do fill 001 2; done
  [ "$(cat "$W/level")" = "$(cut -d' ' -f3 "$W/days")" ] || die "the records do not lead to the root of $DAY"
else
  while read -r ID KIND LEAF D N; do
    P=records/$ID/path
    if [ "$D" = - ]; then [ ! -e "$P" ] || die "$P: of no day"; continue; fi
    [ -f "$P" ] || die "$P is missing"
    C=$(sed -n "s/^$D \([0-9]*\) .*/\1/p" "$W/days")
    [ -n "$C" ] || die "records/$ID: the statement of its day is missing"
    [ "$N" -lt "$C" ] || die "records/$ID: index $N of $C"
    echo "$LEAF" >"$W/level"; fill 000 1
    exec 3<"$P"
    while [ "$C" -gt 1 ]; do
      if [ $((N % 2)) -eq 1 ]; then SIDE=L; elif [ $((N + 1)) -lt "$C" ]; then SIDE=R; else SIDE=; fi
      if [ -n "$SIDE" ]; then
        IFS= read -r X <&3 || die "$P ends early"
        printf '%s' "$X" | grep -qxE "$SIDE $HEX" || die "$P has another shape"
        if [ "$SIDE" = L ]; then echo "${X#??}" | cat - "$W/level" >"$W/pair"; else echo "${X#??}" | cat "$W/level" - >"$W/pair"; fi
        cat "$W/pair" >"$W/level"; fill 001 2
      fi
      N=$((N / 2)); C=$(((C + 1) / 2))
    done
    if read -r X <&3; then die "$P is too long"; fi
    exec 3<&-
    [ "$(cat "$W/level")" = "$(sed -n "s/^$D [0-9]* //p" "$W/days")" ] || die "$P does not lead to the root of its day"
  done <"$W/records"
fi

# 7. what that proves. A line for each record, then one for all
run -v all="$ALL" -v what="$WHAT" "$W/records" >"$W/said" <<'AWK'
function list(name) { if (name == "-") return "no list"; sub(/^.*-/, "list ", name); sub(/[.]pem$/, "", name); return name }
function state(keyid, moment, file, line, p, found) { # by the bureau's own book, at that moment
  if (!(keyid in steps)) { steps[keyid] = 0; file = "status/" keyid
    while ((getline line <file) > 0) { split(line, p, " "); steps[keyid]++; at[keyid, steps[keyid]] = p[1]; to[keyid, steps[keyid]] = p[4] }
    close(file) }
  found = "unknown"; for (i = 1; i <= steps[keyid]; i++) if (at[keyid, i] <= moment) found = to[keyid, i]
  return found
}
BEGIN { w = ENVIRON["W"]
  while ((getline line <(w "/stood")) > 0) { split(line, p, " "); stood[p[1], p[2], p[3]] = p[4] }
  while ((getline line <(w "/signers")) > 0) { split(line, p, " ")
    moment = (p[3], p[5], "-") in stood ? "-" : seconds(p[4])
    how = stood[p[3], p[5], moment]; is = state(p[3], p[4])
    note[p[1]] = "key: " is ", " (how == "ok" ? list(p[5]) : how == "revoked" ? "revoked on " list(p[5]) : how)
    # Who took the list or the status away could have taken a revocation away.
    good[p[1]] = how == "ok" && is == "ACTIVE" && p[5] != "-"
    # No list and no status is above the root.
    if (p[2] == "root") { good[p[1]] = 1; delete note[p[1]] }
    if (p[2] == 5 && how != "ok") fail(p[1] ": the archive's certificate was " how) }
  while ((getline line <(w "/answers")) > 0) { split(line, p, " "); answers[p[1]] = p[2] } }
{ f = "records/" $1 "/"; d = "days/" $4 "/"; proof = ""; by = ""; whom = ""
  if (f in good && good[f]) {
    by = "signed by the " ($2 == "request" ? "station" : $2 == "deed" ? "staff" : $2 == "root-deed" ? "root" : "gateway")
    if (by !~ /gateway/) signed++
    if (f in answers) whom = answers[f] == "-" ? ", to a request that is not here" : ", to the request " answers[f]
  }
  if ($4 == "-" || !(d in good)) why = "its day is not signed"
  else if (!good[d]) why = "the key that signed its day is not known to have stood, " note[d]
  else { why = ""; proven++; proof = "under the signed day " $4 }
  if (why == "") line = "PROVEN   " $1 " " $2 " " (by == "" ? "" : by ", ") proof
  else line = "UNPROVEN " $1 " " $2 " (" (by == "" ? "" : by ", time not proven: ") why ")"
  print line whom (f in note ? " [" note[f] "]" : "") }
END { if (bad) exit 1
  if (proven == all) printf "OK 全部得到证明 %s, %d records: all are under a signed day, %d signed by who asked for it too\n", what, all, signed
  else printf "尚未证明 NOT PROVEN YET %s, %d records: %d UNPROVEN; 签名后请重新导出再验证 export again when it is signed\n", what, all, all - proven }
AWK
sed '$d' "$W/said"
echo "root $(openssl x509 -in "$ROOT" -noout -fingerprint -sha256 | sed 's/.*=//')"
sed -n '$p' "$W/said"
case "$(sed -n '$p' "$W/said")" in OK\ *) exit 0 ;; *) exit 3 ;; esac

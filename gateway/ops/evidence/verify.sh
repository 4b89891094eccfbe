#!/bin/sh
# Verifies this folder with openssl, sha256sum and POSIX tools only (sh, awk, cut, find, grep, mktemp, od, sed, tr, wc).
#   ./verify.sh            trusts root.cert.pem of this folder: compare its fingerprint with the bureau's
#   ROOT=FILE ./verify.sh  trusts FILE
# A record is PROVEN by the station's own signature (a request), or by the bureau's signature over the day it lies in
# (anything: what the biller answered, too). Until its day is signed, a record that no station signed is UNPROVEN: its
# hashes agree with each other, and whoever wrote this folder could have made them so. payment.json is the bureau's own
# book about the records: never proven, checked against SHA256SUMS only.
# Exit 0 and a last line OK: every record is proven. 3 and NOT PROVEN YET: nothing is wrong, and at least one record is
# UNPROVEN; export again when its day is signed. 1 and FAIL: something is not what it says it is.
# Format of a record and of a day: see "record" and "day" below.
set -eu; LC_ALL=C; export LC_ALL; cd "$(dirname "$0")"
ARC=2.25.142285106485850155371164267729557364481
ROOT=${ROOT:-root.cert.pem}
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT
die() { echo "FAIL: $1"; exit 1; }
sha() { sha256sum | cut -d' ' -f1; }
bytes() { # hex to raw bytes, by octal escapes
  printf "$(printf '%s' "$1" | awk '{ d = "0123456789abcdef"
    for (i = 1; i < length($0); i += 2) { n = (index(d, substr($0, i, 1)) - 1) * 16 + index(d, substr($0, i + 1, 1)) - 1
      printf "\\%03o", n } }')"
}
seconds() { # RFC 3339 UTC to Unix seconds
  printf '%s' "$1" | awk -F'[-T:.Z]' '{ y = $1; m = $2; if (m <= 2) { y--; m += 12 }
    printf "%d", (365 * y + int(y / 4) - int(y / 100) + int(y / 400) + int((153 * (m - 3) + 2) / 5) + $3 - 719469) * 86400 \
      + $4 * 3600 + $5 * 60 + $6 }'
}
certificate() { # KEYID ROLE AT: it is the one named, has the role, and stood under the root at that moment
  C=certificates/$1.pem
  [ -f "$C" ] || die "certificate $1 is missing"
  [ "$(openssl x509 -in "$C" -outform DER | sha)" = "$1" ] || die "$C is not the certificate $1"
  openssl x509 -in "$C" -noout -ext extendedKeyUsage | grep -qxF "    $ARC.$2" || die "$C has not the role $ARC.$2"
  openssl verify -x509_strict -attime "$3" -CAfile "$ROOT" -untrusted issuing.cert.pem "$C" >/dev/null 2>&1 ||
    die "$C does not stand under the root at $3"
}
signature() { # KEYID DATA SIGNATURE: r and s of 32 bytes each for P-256, PKCS#1 v1.5 for RSA
  openssl x509 -in "certificates/$1.pem" -pubkey -noout >"$W/pub"
  if openssl pkey -pubin -in "$W/pub" -noout -text | grep -q 'prime256v1'; then
    [ "$(wc -c <"$3")" -eq 64 ] || die "$3 is not 64 bytes"
    H=$(od -An -v -tx1 "$3" | tr -d ' \n')
    printf 'asn1=SEQUENCE:s\n[s]\nr=INTEGER:0x%s\ns=INTEGER:0x%s\n' "$(printf %s "$H" | cut -c1-64)" \
      "$(printf %s "$H" | cut -c65-128)" >"$W/cnf"
    openssl asn1parse -genconf "$W/cnf" -noout -out "$W/sig" >/dev/null
  else
    cp "$3" "$W/sig"
  fi
  openssl dgst -sha256 -verify "$W/pub" -signature "$W/sig" "$2" >/dev/null 2>&1 || die "the signature $3 does not hold"
}

# 1. what no signature covers is as it was written
[ -f SHA256SUMS ] && sha256sum -c --strict --quiet SHA256SUMS >/dev/null 2>&1 || die "a file is not what SHA256SUMS says"
find . -type f ! -name SHA256SUMS | sed 's|^\./||' | while read -r F; do
  grep -qF "  $F" SHA256SUMS || { echo "FAIL: $F is not in SHA256SUMS"; exit 1; }
done || exit 1

# 2. each day: six lines, signed by the archive's key
for D in days/*/; do
  [ -f "${D}statement" ] || continue
  [ "$(wc -l <"${D}statement")" -eq 6 ] && head -n 1 "${D}statement" | grep -qx 'bianmin-day-v1' || die "$D: statement"
  [ "$(sed -n 's/^day //p' "${D}statement")" = "$(basename "$D")" ] || die "$D: another day's statement"
  if [ -f "${D}signature" ]; then
    K=$(cat "${D}keyid")
    certificate "$K" 5 "$(seconds "$(cat "${D}signed_at")")"
    signature "$K" "${D}statement" "${D}signature"
  fi
done

# 3. each record
ALL=0; SEALED=0; SIGNED=0; PROVEN=0
say() { # RECORD PROOF: one line about it
  if [ -n "$2" ]; then PROVEN=$((PROVEN + 1)); WORD="PROVEN  "; else WORD="UNPROVEN"; fi
  echo "$WORD $(basename "$1") $(cat "$1kind") ${2:-(its day is not signed)}"
}
for R in records/*/; do
  [ -d "$R" ] || continue
  [ "$(cat "${R}record_id")" = "$(basename "$R")" ] || die "a folder of records/ is not named as its record"
  # What is printed about a record must not read like a verdict.
  case "$(basename "$R") $(cat "${R}kind")" in *[!A-Za-z0-9\ _-]*) die "a record of a name or kind of no house" ;; esac
  ALL=$((ALL + 1)); PROOF=
  # the leaf: SHA-256 over name, length and bytes of each field
  LEAF=$({ printf 'bianmin-record-v1\n'
    for F in record_id kind received_at base signature body keyid; do
      printf '%s %d\n' "$F" "$(wc -c <"$R$F")"; cat "$R$F"; printf '\n'
    done; } | sha)
  [ "$LEAF" = "$(cat "${R}leaf")" ] || die "$R: the leaf is not the hash of the record"
  if [ "$(cat "${R}kind")" = request ]; then
    # the station's own signature over the base; the base names the body's hash and the key
    K=$(cat "${R}keyid")
    certificate "$K" 1 "$(seconds "$(cat "${R}received_at")")"
    grep '^"@signature-params": ' "${R}base" | grep -qF ";keyid=\"$K\"" || die "$R: the base names another key"
    grep '^"@signature-params": ' "${R}base" | grep -qF ';tag="bianmin-v1"' || die "$R: signed for another purpose"
    B=$(openssl dgst -sha256 -binary "${R}body" | openssl base64 -A)
    grep -qxF "\"content-digest\": sha-256=:$B:" "${R}base" || die "$R: the body is not what was signed"
    signature "$K" "${R}base" "${R}signature"
    SIGNED=$((SIGNED + 1)); PROOF="signed by the station"
  fi
  # the way from the leaf to the day's root; its shape is the one that index and count imply
  if [ ! -f "${R}path" ]; then say "$R" "$PROOF"; continue; fi
  # A date and nothing else: the days of above, whose signatures were verified.
  grep -qx '[0-9]\{4\}-[0-9][0-9]-[0-9][0-9]' "${R}day" && [ "$(wc -l <"${R}day")" -eq 1 ] || die "$R: day"
  S=days/$(cat "${R}day")/statement
  [ -f "$S" ] || die "$R: the statement of its day is missing"
  N=$(cat "${R}index"); C=$(sed -n 's/^count //p' "$S")
  [ "$N" -ge 0 ] && [ "$N" -lt "$C" ] || die "$R: index $N of $C"
  H=$({ printf '\000'; bytes "$LEAF"; } | sha)
  exec 3<"${R}path"
  while [ "$C" -gt 1 ]; do
    if [ $((N % 2)) -eq 1 ]; then SIDE=L; elif [ $((N + 1)) -lt "$C" ]; then SIDE=R; else SIDE=; fi
    if [ -n "$SIDE" ]; then
      read -r X SIBLING <&3 || die "$R: the path ends early"
      [ "$X" = "$SIDE" ] && [ ${#SIBLING} -eq 64 ] || die "$R: the path has another shape"
      if [ "$SIDE" = L ]; then H=$({ printf '\001'; bytes "$SIBLING$H"; } | sha); else H=$({ printf '\001'; bytes "$H$SIBLING"; } | sha); fi
    fi
    N=$((N / 2)); C=$(((C + 1) / 2))
  done
  if read -r X <&3; then die "$R: the path is too long"; fi
  exec 3<&-
  [ "$H" = "$(sed -n 's/^root //p' "$S")" ] || die "$R: the path does not lead to the root of its day"
  if [ -f "$(dirname "$S")/signature" ]; then
    SEALED=$((SEALED + 1)); PROOF="${PROOF:+$PROOF, }under the signed day $(cat "${R}day")"
  fi
  say "$R" "$PROOF"
done
[ "$ALL" -gt 0 ] || die "no record"
[ "$SIGNED" -gt 0 ] || [ "$SEALED" -gt 0 ] || die "nothing here is signed"
echo "root $(openssl x509 -in "$ROOT" -noout -fingerprint -sha256 | sed 's/.*=//')"
[ "$SEALED" -eq "$ALL" ] || echo "$((ALL - SEALED)) of $ALL records do not stand under a signed day yet"
if [ "$PROVEN" -lt "$ALL" ]; then
  echo "尚未证明 NOT PROVEN YET: $ALL 条记录中有 $((ALL - PROVEN)) 条所在日尚未签名，签名后请重新导出再验证;" \
    "$((ALL - PROVEN)) of $ALL records: their day is not signed, export again when it is"
  exit 3
fi
echo "OK 全部得到证明 all $ALL records are proven: $SIGNED signed requests, $SEALED under a signed day"

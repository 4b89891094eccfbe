#!/bin/sh
# Verifies this folder with openssl, sha256sum and POSIX tools only
# (sh, awk, cmp, cut, find, grep, mktemp, od, sed, sort, tail, tr, wc, xargs). What it means: VERIFY.md.
#   ./verify.sh [FOLDER]       trusts root.cert.pem of the folder: compare its fingerprint with the bureau's
#   ROOT=FILE ./verify.sh ...  trusts FILE
# A record is PROVEN by the signature of a station's (a request) or a clerk's key (a deed) that was in force then, or by
# the bureau's signature over the day it lies in (anything: what the biller answered, too). Until its day is signed, a
# record that nobody signed is UNPROVEN: its hashes agree with each other, and whoever wrote this folder could have made
# them so. payment.json, day.json and status/ are the bureau's own book: never proven, checked against SHA256SUMS only.
# Exit 0 and a last line OK: every record is proven. 3 and NOT PROVEN YET: nothing is wrong, and at least one record is
# UNPROVEN; export again when its day is signed. 1 and FAIL: something is not what it says it is; nothing else is told.
set -eu; LC_ALL=C; export LC_ALL; umask 077
cd "${1:-$(dirname "$0")}"
ARC=2.25.142285106485850155371164267729557364481
ROOT=${ROOT:-root.cert.pem}
W=$(mktemp -d); trap 'rm -rf "$W"' EXIT
exec 4>&1  # also from where its output would be taken for a value
die() { echo "FAIL: $1" >&4; exit 1; }
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
one() { # FILE REGEX: its one line, which is of this form and ends with a newline; nothing else is in it
  [ -f "$1" ] && [ "$(wc -l <"$1")" -eq 1 ] && grep -qxE "$2" "$1" && [ "$(tail -c 1 "$1" | od -An -tx1 | tr -d ' ')" = 0a ] ||
    die "$1: malformed"
  cat "$1"
}
HEX='[0-9a-f]{64}'; MOMENT='[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z'
moment() { printf '%s' "$1" | grep -qxE "$MOMENT" || die "$2: no moment"; }

certificate() { # KEYID ROLE MOMENT FOLDER: the one named, of that role alone, and under the root at that moment. Sets
  # KNOWN to how it stood: by the list of its authority that was in force (FOLDER/crl), and by the bureau's own book
  C=certificates/$1.pem; AT=$(seconds "$3"); LIST=; REVOKED=
  [ -f "$C" ] || die "certificate $1 is missing"
  [ "$(openssl x509 -in "$C" -outform DER | sha)" = "$1" ] || die "$C is not the certificate $1"
  U=$(openssl x509 -in "$C" -noout -ext extendedKeyUsage | sed -n '2,$p' | tr -d ' ')
  [ "$U" = "$ARC.$2" ] || die "$C has not the role $ARC.$2, or not alone"
  openssl verify -x509_strict -attime "$AT" -CAfile "$ROOT" -untrusted issuing.cert.pem "$C" >/dev/null 2>&1 ||
    die "$C does not stand under the root at $AT"
  if [ -e "$4crl" ]; then
    N=$(one "$4crl" "$HEX-[0-9]+\\.pem")
    [ -f "crls/$N" ] || die "$4: its list $N is missing"
    LIST="list $(printf %s "$N" | sed 's/^.*-//; s/\.pem$//')"
    if ! SAID=$(openssl verify -x509_strict -attime "$AT" -crl_check -CRLfile "crls/$N" -CAfile "$ROOT" \
      -untrusted issuing.cert.pem "$C" 2>&1); then
      case "$SAID" in *'error 23 '*) REVOKED="revoked on $LIST" ;; *) die "crls/$N is no list in force at $AT" ;; esac
    fi
  fi
  STATE=unknown
  if [ -f "status/$1" ]; then
    grep -qvE "^$MOMENT [a-z]+ [A-Z-]+ [A-Z]+ [^ ]+\$" "status/$1" && die "status/$1: malformed"
    STATE=$(awk -v at="$3" '$1 <= at { s = $4 } END { print s == "" ? "unknown" : s }' "status/$1")
  fi
  KNOWN="$STATE, ${REVOKED:-${LIST:-no list}}"
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
    cat "$3" >"$W/sig"
  fi
  openssl dgst -sha256 -verify "$W/pub" -signature "$W/sig" "$2" >/dev/null 2>&1 || die "the signature $3 does not hold"
}

# 1. every file is as it was written, none is missing, none was put beside; nothing here but plain files and folders
[ -z "$(find . ! -type f ! -type d)" ] || die "something here is neither a file nor a folder"
find . -type f ! -path ./SHA256SUMS | sed 's|^\./||' | sort >"$W/names"
grep -qvE '^[A-Za-z0-9._/-]+$' "$W/names" && die "a file of a name of no house"
xargs sha256sum <"$W/names" >"$W/sums" && cmp -s "$W/sums" SHA256SUMS || die "a file is not what SHA256SUMS says"

# 2. each day: six lines, signed by the archive's key
for D in days/*/; do
  [ -d "$D" ] || continue
  [ -f "${D}statement" ] || die "$D: no statement"
  [ "$(wc -l <"${D}statement")" -eq 6 ] && head -n 1 "${D}statement" | grep -qx 'bianmin-day-v1' || die "$D: statement"
  [ "$(sed -n 's/^day //p' "${D}statement")" = "$(basename "$D")" ] || die "$D: another day's statement"
  if [ -f "${D}signature" ]; then
    K=$(one "${D}keyid" "$HEX"); T=$(one "${D}signed_at" "$MOMENT")
    certificate "$K" 5 "$T" "$D"
    [ -z "$REVOKED" ] || die "$D: the archive's certificate was $REVOKED"
    signature "$K" "${D}statement" "${D}signature"
  fi
done

# 3. each record
ALL=0; SEALED=0; SIGNED=0; PROVEN=0; : >"$W/said"; : >"$W/places"
say() { # RECORD PROOF NOTE: one line about it, told when all is looked at
  if [ -n "$2" ]; then PROVEN=$((PROVEN + 1)); WORD="PROVEN  "; else WORD="UNPROVEN"; fi
  echo "$WORD $(basename "$1") $(cat "$1kind") ${2:-(its day is not signed)}$3" >>"$W/said"
}
for R in records/*/; do
  [ -d "$R" ] || continue
  [ "$(cat "${R}record_id")" = "$(basename "$R")" ] || die "a folder of records/ is not named as its record"
  # What is printed about a record must not read like a verdict.
  case "$(basename "$R") $(cat "${R}kind")" in *[!A-Za-z0-9.\ _-]*) die "a record of a name or kind of no house" ;; esac
  ALL=$((ALL + 1)); PROOF=; NOTE=
  # the leaf: SHA-256 over name, length and bytes of each field
  LEAF=$({ printf 'bianmin-record-v1\n'
    for F in record_id kind received_at base signature body keyid; do
      printf '%s %d\n' "$F" "$(wc -c <"$R$F")"; cat "$R$F"; printf '\n'
    done; } | sha)
  [ "$LEAF" = "$(one "${R}leaf" "$HEX")" ] || die "$R: the leaf is not the hash of the record"
  case $(cat "${R}kind") in request) ROLE=1; BY="the station" ;; deed) ROLE=2; BY="the staff" ;; *) ROLE= ;; esac
  if [ -n "$ROLE" ]; then
    # their own signature over the base; a request's base names the body's hash and the key
    K=$(cat "${R}keyid"); T=$(cat "${R}received_at"); moment "$T" "$R"
    certificate "$K" "$ROLE" "$T" "$R"
    if [ "$ROLE" -eq 1 ]; then
      grep '^"@signature-params": ' "${R}base" | grep -qF ";keyid=\"$K\"" || die "$R: the base names another key"
      grep '^"@signature-params": ' "${R}base" | grep -qF ';tag="bianmin-v1"' || die "$R: signed for another purpose"
      B=$(openssl dgst -sha256 -binary "${R}body" | openssl base64 -A)
      grep -qxF "\"content-digest\": sha-256=:$B:" "${R}base" || die "$R: the body is not what was signed"
    fi
    signature "$K" "${R}base" "${R}signature"
    NOTE=" [key: $KNOWN]"
    # A key that was frozen or revoked then proves nothing by itself.
    case "$STATE$REVOKED" in ACTIVE | unknown) SIGNED=$((SIGNED + 1)); PROOF="signed by $BY" ;; esac
  fi
  # the way from the leaf to the day's root; its shape is the one that index and count imply
  if [ ! -f "${R}path" ]; then say "$R" "$PROOF" "$NOTE"; continue; fi
  # A date and nothing else: the days of above, whose signatures were verified.
  DAY=$(one "${R}day" '[0-9]{4}-[0-9]{2}-[0-9]{2}'); S=days/$DAY/statement
  [ -f "$S" ] || die "$R: the statement of its day is missing"
  N=$(one "${R}index" '[0-9]{1,12}'); C=$(sed -n 's/^count //p' "$S"); INDEX=$N
  [ "$N" -lt "$C" ] || die "$R: index $N of $C"
  H=$({ printf '\000'; bytes "$LEAF"; } | sha)
  exec 3<"${R}path"
  while [ "$C" -gt 1 ]; do
    if [ $((N % 2)) -eq 1 ]; then SIDE=L; elif [ $((N + 1)) -lt "$C" ]; then SIDE=R; else SIDE=; fi
    if [ -n "$SIDE" ]; then
      IFS= read -r X <&3 || die "$R: the path ends early"
      printf '%s' "$X" | grep -qxE "$SIDE $HEX" || die "$R: the path has another shape"
      SIBLING=${X#??}
      if [ "$SIDE" = L ]; then H=$({ printf '\001'; bytes "$SIBLING$H"; } | sha); else H=$({ printf '\001'; bytes "$H$SIBLING"; } | sha); fi
    fi
    N=$((N / 2)); C=$(((C + 1) / 2))
  done
  if read -r X <&3; then die "$R: the path is too long"; fi
  exec 3<&-
  [ "$H" = "$(sed -n 's/^root //p' "$S")" ] || die "$R: the path does not lead to the root of its day"
  echo "$DAY $INDEX" >>"$W/places"
  if [ -f "$(dirname "$S")/signature" ]; then
    SEALED=$((SEALED + 1)); PROOF="${PROOF:+$PROOF, }under the signed day $DAY"
  fi
  say "$R" "$PROOF" "$NOTE"
done
[ "$ALL" -gt 0 ] || die "no record"
[ "$SIGNED" -gt 0 ] || [ "$SEALED" -gt 0 ] || die "nothing here is signed"

# 4. a day that is said to be whole is: as many places as it counts, each taken once
for D in days/*/; do
  [ -f "${D}whole" ] || continue
  DAY=$(basename "$D"); C=$(one "${D}whole" '[0-9]{1,12}')
  [ "$C" = "$(sed -n 's/^count //p' "${D}statement")" ] || die "$D: it counts otherwise"
  [ "$(grep "^$DAY " "$W/places" | sort -u | wc -l)" -eq "$C" ] || die "$D: not all of its $C records are here"
  echo "day $DAY is whole: $C records" >>"$W/said"
done

cat "$W/said"
echo "root $(openssl x509 -in "$ROOT" -noout -fingerprint -sha256 | sed 's/.*=//')"
[ "$SEALED" -eq "$ALL" ] || echo "$((ALL - SEALED)) of $ALL records do not stand under a signed day yet"
if [ "$PROVEN" -lt "$ALL" ]; then
  echo "尚未证明 NOT PROVEN YET: $ALL 条记录中有 $((ALL - PROVEN)) 条所在日尚未签名，签名后请重新导出再验证;" \
    "$((ALL - PROVEN)) of $ALL records: their day is not signed, export again when it is"
  exit 3
fi
echo "OK 全部得到证明 all $ALL records are proven: $SIGNED signed requests, $SEALED under a signed day"

#!/usr/bin/env bash
# pems.sh STORES DIR: by Java's keytool and openssl, PEM files for a server that is to know the stores of testdata/samples/keystores:
# clients.pem, clients-jceks.pem and clients-p12.pem (the certificates that clients may show, or their CA; those with the same name, of
# which OpenSSL would find but one, in three files), sample.pem and sample.key (the server that the trust stores of the
# folder know), made.pem and made.key (the one of the stores in more/).
set -euo pipefail
KEYTOOL=${JAVA_HOME:+$JAVA_HOME/bin/}keytool
for tool in "$KEYTOOL" openssl; do
  command -v "$tool" >/dev/null || { echo "pems.sh: $tool is needed and is not installed (or not in PATH)" >&2; exit 1; }
done
stores=$1; mkdir -p "$2"; cd "$2"
kt() { "$KEYTOOL" -J-XX:TieredStopAtLevel=1 "$@" 2>/dev/null; }
for store in client.jks client.jceks client.p12 client-ec.p12 keypass.jks; do
  kt -list -rfc -keystore "$stores/$store" -storepass changeit >"$store.txt" &
done
server() { # NAME STORE TYPE ALIAS
  kt -importkeystore -noprompt -srckeystore "$stores/$2" -srcstoretype "$3" -srcstorepass changeit -srcalias "$4" -destalias "$4" \
    -destkeystore "$1.p12" -deststoretype PKCS12 -deststorepass changeit
  openssl pkcs12 -in "$1.p12" -passin pass:changeit -nodes -nokeys -out "$1.pem"
  openssl pkcs12 -in "$1.p12" -passin pass:changeit -nodes -nocerts -out "$1.key"
}
server sample client.jks JKS client &
server made more/several.p12 PKCS12 second &
wait
certificates() { sed -n '/BEGIN CERT/,/END CERT/p' "$@"; }
certificates client.jks.txt client-ec.p12.txt keypass.jks.txt "$stores/more/ca.pem" >clients.pem
certificates client.jceks.txt >clients-jceks.pem
certificates client.p12.txt >clients-p12.pem
[ "$(cat clients*.pem | grep -c BEGIN)" = 6 ] && grep -q BEGIN sample.key && grep -q BEGIN made.key || { echo "pems.sh: keytool or openssl failed, see $2" >&2; exit 1; }

#!/usr/bin/env bash
# make-stores.sh DIR: stores of every kind that Java's keytool and openssl write, around one CA. The files in more/ were made by it, and
# "make test-real" makes them anew. Throw-away keys; passwords are "changeit", for latin "pässwörd" and for greek "κωδικός".
set -euo pipefail
KEYTOOL=${JAVA_HOME:+$JAVA_HOME/bin/}keytool
export LC_ALL=C.UTF-8; unset JAVA_TOOL_OPTIONS
for tool in "$KEYTOOL" openssl; do
  command -v "$tool" >/dev/null || { echo "make-stores.sh: $tool is needed and is not installed (or not in PATH)" >&2; exit 1; }
done
mkdir -p "$1"; cd "$1"
pass=changeit
kt() { "$KEYTOOL" -J-XX:TieredStopAtLevel=1 -J-Xshare:auto "$@" >keytool.log 2>&1 || { cat keytool.log >&2; exit 1; }; }
days="-validity 36500"
copy() { kt -importkeystore -noprompt -srckeystore "$1" -srcstoretype PKCS12 -srcstorepass $pass -destkeystore "$2" -deststoretype "$3" -deststorepass "${4:-$pass}" "${@:5}"; }

# a CA, and two clients: one RSA, one EC that is for servers only
kt -genkeypair -alias ca -keyalg EC -groupname secp256r1 -dname CN=ca $days -ext bc:c -ext ku=keyCertSign -keystore ca.p12 -storetype PKCS12 -storepass $pass
kt -exportcert -rfc -alias ca -file ca.pem -keystore ca.p12 -storepass $pass
issue() { # NAME FILE KEYALG OPTIONS -- EXTENSIONS: a key pair in FILE, its certificate by the CA
  local name=$1 file=$2 alg=$3; shift 3
  local options=(); while [ "$1" != -- ]; do options+=("$1"); shift; done; shift
  kt -genkeypair -alias $name -keyalg $alg "${options[@]}" -dname CN=$name $days -keystore $file -storetype PKCS12 -storepass $pass
  kt -certreq -alias $name -file $name.csr -keystore $file -storepass $pass
  kt -gencert -alias ca -infile $name.csr -outfile $name.crt.pem -rfc $days "$@" -keystore ca.p12 -storepass $pass
  cat $name.crt.pem ca.pem >$name.chain.pem
  kt -importcert -noprompt -alias $name -file $name.chain.pem -keystore $file -storepass $pass
  rm $name.csr
}
issue first several.p12 RSA -keysize 2048 -- -ext eku=clientAuth
copy several.p12 chain.p12 PKCS12
issue second several.p12 EC -groupname secp256r1 -- -ext eku=serverAuth -ext san=dns:localhost,ip:127.0.0.1
issue edward ed25519.p12 Ed25519 -- -ext eku=clientAuth

# several entries: two keys, a trusted certificate, and where there can be one a secret key in the middle
for t in jks jceks; do copy several.p12 several.$t ${t^^}; done
for f in several.p12:PKCS12 several.jceks:JCEKS several.jks:JKS; do
  file=${f%:*} type=${f#*:}
  [ $type = JKS ] || kt -genseckey -alias sec -keyalg AES -keysize 256 -keystore $file -storetype $type -storepass $pass
  kt -importcert -noprompt -alias trusted -file ca.pem -keystore $file -storetype $type -storepass $pass
done

# one key with its chain, in every type; a password of its own for the key; passwords beyond ASCII and beyond Latin-1
# (which Java refuses for PKCS12, and for the keys of JCEKS)
for t in jks jceks; do
  copy chain.p12 chain.$t ${t^^}
  copy chain.p12 keypass.$t ${t^^} $pass -srcalias first -destalias first -destkeypass changeit2
done
copy chain.p12 latin.jks JKS pässwörd -srcalias first -destalias first -destkeypass pässwörd
copy chain.p12 greek.jks JKS κωδικός -srcalias first -destalias first -destkeypass κωδικός
copy chain.p12 greek-store.jceks JCEKS κωδικός -srcalias first -destalias first -destkeypass changeit

# what Java wrote before 8u301, and without a MAC
kt -importkeystore -J-Dkeystore.pkcs12.legacy -noprompt -srckeystore chain.p12 -srcstorepass $pass -destkeystore java-legacy.p12 -deststoretype PKCS12 -deststorepass $pass
kt -importkeystore -J-Dkeystore.pkcs12.macAlgorithm=NONE -noprompt -srckeystore chain.p12 -srcstorepass $pass -destkeystore java-nomac.p12 -deststoretype PKCS12 -deststorepass $pass

# trust stores: by keytool in every type, by openssl without Java's attribute
for t in jks jceks pkcs12; do kt -importcert -noprompt -alias ca -file ca.pem -keystore trust.$t -storetype ${t^^} -storepass $pass; done
kt -importcert -noprompt -alias ca -file ca.pem -keystore trust-greek.jceks -storetype JCEKS -storepass κωδικός
ossl() { openssl "$@" 2>openssl.log || { cat openssl.log >&2; exit 1; }; }
ossl pkcs12 -export -nokeys -in ca.pem -passout pass:$pass -out trust-openssl.p12
ossl pkcs12 -export -nokeys -legacy -in ca.pem -passout pass:$pass -out trust-openssl-legacy.p12
ossl pkcs12 -export -nokeys -nomac -in ca.pem -passout pass:$pass -out trust-openssl-nomac.p12
ossl pkcs12 -export -nokeys -certpbe NONE -in ca.pem -passout pass:$pass -out trust-openssl-clear.p12

# keys by openssl: modern and old ciphers, a name and none, a password beyond ASCII
ossl pkcs12 -in chain.p12 -passin pass:$pass -nodes -nocerts -out key.bags
ossl pkey -in key.bags -out key.pem
rm key.bags
export_p12() { ossl pkcs12 -export -inkey key.pem -in first.chain.pem -out "$@"; }
export_p12 openssl.p12 -passout pass:$pass -name first
export_p12 openssl-unnamed.p12 -passout pass:$pass
export_p12 openssl-legacy.p12 -passout pass:$pass -name first -legacy
export_p12 openssl-rc2-128.p12 -passout pass:$pass -legacy -certpbe PBE-SHA1-RC2-128 -keypbe PBE-SHA1-2DES -macalg sha512
export_p12 openssl-aes128.p12 -passout pass:$pass -certpbe AES-128-CBC -keypbe AES-192-CBC -macalg sha384
export_p12 openssl-des3.p12 -passout pass:$pass -certpbe DES-EDE3-CBC -keypbe DES-EDE3-CBC -macalg sha1
export_p12 openssl-clear.p12 -passout pass:$pass -certpbe NONE -keypbe NONE
export_p12 openssl-greek.p12 -passout pass:κωδικός
export_p12 openssl-legacy-greek.p12 -passout pass:κωδικός -legacy

# PEM: key first, key last, every form of a key, every encryption of one
cat key.pem first.chain.pem >client.pem
cat first.chain.pem key.pem >client-key-last.pem
ossl pkey -in key.pem -traditional -out pkcs1.key; cat first.chain.pem pkcs1.key >client-pkcs1.pem
sealed() { ossl pkcs8 -topk8 -in key.pem -passout pass:$pass -out sealed.key "${@:2}"; cat sealed.key first.chain.pem >"$1"; }
sealed sealed-aes256.pem
sealed sealed-aes128-sha512.pem -v2 aes-128-cbc -v2prf hmacWithSHA512
sealed sealed-des3.pem -v2 des3
sealed sealed-scrypt.pem -scrypt
sealed sealed-pkcs12-3des.pem -v1 PBE-SHA1-3DES
sealed sealed-pkcs12-rc2.pem -provider legacy -provider default -v1 PBE-SHA1-RC2-40
ossl rsa -in key.pem -traditional -aes256 -passout pass:$pass -out sealed.key; cat sealed.key first.chain.pem >sealed-proc-type.pem
ossl x509 -in ca.pem -trustout -out trust-openssl.pem
rm -f -- *.log *.key *.crt.pem ed25519.chain.pem edward.chain.pem key.pem

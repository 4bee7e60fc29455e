package keystore

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// kind is a type of store, as named in settings.
type kind string

const (
	kindJKS    kind = "jks"
	kindJCEKS  kind = "jceks"
	kindPKCS12 kind = "pkcs12"
	kindDKS    kind = "dks"
	kindPEM    kind = "pem"
	kindPKCS11 kind = "pkcs11"
)

var kinds = []kind{kindJCEKS, kindJKS, kindDKS, kindPKCS11, kindPKCS12, kindPEM}

// parseKind reads a type from settings: in lower case, or in upper case as in Kafka's ssl.keystore.type.
func parseKind(name string) (kind, error) {
	for _, k := range kinds {
		if name == string(k) || name == strings.ToUpper(string(k)) {
			return k, nil
		}
	}
	for _, k := range kinds {
		if strings.EqualFold(name, string(k)) {
			return "", fmt.Errorf("unknown type %q: types are case-sensitive, use %s", name, k)
		}
	}
	hint := ""
	if strings.EqualFold(name, "p12") || strings.EqualFold(name, "pfx") {
		hint = " (files with the ending ." + strings.ToLower(name) + " are pkcs12)"
	}
	return "", fmt.Errorf("unknown type %q, expected jceks, jks, dks, pkcs11, pkcs12 or pem%s", name, hint)
}

// detectKind returns the kind of a file. If it is of no kind, the second result describes its content.
func detectKind(content []byte) (kind, string) {
	switch {
	case len(content) == 0:
		return "", "an empty file"
	case bytes.HasPrefix(content, jksMagic):
		return kindJKS, ""
	case bytes.HasPrefix(content, jceksMagic):
		return kindJCEKS, ""
	case bytes.HasPrefix(content, []byte("\x7fELF")): // a module
		return kindPKCS11, ""
	case content[0] == 0x30 && (len(content) < 2 || content[1] >= 0x80): // else it may be text
		return kindPKCS12, ""
	case bytes.Contains(content, []byte("-----BEGIN ")):
		return kindPEM, ""
	case utf8.Valid(content):
		if newDKSParser(string(content)).nextIs("domain") {
			return kindDKS, ""
		}
		if t, err := parseSunPKCS11(content); err == nil && t.module != "" {
			return kindPKCS11, ""
		}
		return "", "a text file without keys and certificates"
	}
	return "", fmt.Sprintf("a file that begins with % x", content[:min(4, len(content))])
}

// isCompatible reports whether a store declared as k may be of another kind: jks and pkcs12 may, as in Java.
func (k kind) isCompatible(other kind) bool {
	return k == other || (k == kindJKS && other == kindPKCS12) || (k == kindPKCS12 && other == kindJKS)
}

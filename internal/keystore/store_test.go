package keystore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// samples is absolute: tests of domains change the folder.
var samples, _ = filepath.Abs("../../testdata/samples/keystores")

func sample(name string) string { return filepath.Join(samples, name) }

// clientStores are the samples with a key, and how to open them.
var clientStores = map[string]Location{
	"client.jks":        {Type: "jks"},
	"client.jceks":      {Type: "jceks"},
	"client.p12":        {Type: "pkcs12"},
	"client-legacy.p12": {Type: "pkcs12"},
	"client-ec.p12":     {Type: "pkcs12"},
	"keypass.jks":       {Type: "jks", KeyPassword: "changeit2"},
	"domain.dks#sample": {Type: "dks"},
}

// ownerOf is the common name in a sample with a key.
func ownerOf(store string) string {
	if name := map[string]string{"client-ec.p12": "clientec", "keypass.jks": "other"}[store]; name != "" {
		return name
	}
	return "client"
}

// trustStores hold the certificate of client.jks.
var trustStores = map[string]Location{
	"trust.jks":         {Type: "jks"},
	"trust.jceks":       {Type: "jceks"},
	"trust.p12":         {Type: "pkcs12"},
	"client.crt.pem":    {Type: "pem"},
	"domain.dks#sample": {Type: "dks"},
}

// at completes a location of a sample. The domain names its stores by ${user.dir}.
func at(t testing.TB, name string, l Location) Location {
	t.Helper()
	l.Path = sample(name)
	if strings.HasPrefix(name, "domain.dks") {
		t.(interface{ Chdir(string) }).Chdir(samples)
	}
	if l.Password == "" && l.Type != "pem" {
		l.Password = "changeit"
	}
	return l
}

// The type must match the content, but jks and pkcs12 accept each other.
func TestTypeAndContent(t *testing.T) {
	files := map[kind]string{kindJKS: "client.jks", kindJCEKS: "client.jceks", kindPKCS12: "client.p12",
		kindPEM: "client.crt.pem", kindDKS: "domain.dks"}
	for _, configured := range []kind{kindJKS, kindJCEKS, kindPKCS12, kindPEM, kindDKS} {
		for is, file := range files {
			_, err := Open(at(t, file, Location{Type: string(configured), Password: "changeit"}))
			_, errUpper := Open(at(t, file, Location{Type: strings.ToUpper(string(configured)), Password: "changeit"}))
			fits := configured == is || (configured == kindJKS && is == kindPKCS12) || (configured == kindPKCS12 &&
				is == kindJKS)
			switch {
			case fits && (err != nil || errUpper != nil):
				t.Errorf("%s as %s: %v, %v", file, configured, err, errUpper)
			case !fits:
				expectFault(t, err, "type", string(configured)+", but ", strings.ToUpper(string(is))+" file")
			}
		}
	}
}

// berInDER is the beginning of a PKCS12 file whose contents alone have an indefinite length.
var berInDER = "\x30\x81\xdc\x02\x01\x03\x30\x81\xd6\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x81\xc8\x24\x80" +
	strings.Repeat("\x00", 198)

func TestRejectedStores(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) string {
		put(t, filepath.Join(folder, name), []byte(content))
		return filepath.Join(folder, name)
	}
	jks, err := os.ReadFile(sample("client.jks"))
	require.NoError(t, err)
	cases := map[string]struct {
		location Location
		setting  string
		text     []string
	}{
		"no path":  {Location{Password: "x"}, "location", []string{"not set"}},
		"no file":  {Location{Path: folder + "/no", Password: "x"}, "location", []string{"no such file"}},
		"a folder": {Location{Path: folder, Password: "x"}, "location", []string{"not a file"}},
		"empty":    {Location{Path: write("empty", ""), Password: "x"}, "location", []string{"an empty file"}},
		"text": {Location{Path: write("text", "hello"), Password: "x"}, "location",
			[]string{"a text file without keys"}},
		"bytes": {Location{Path: write("bytes", "\x00\x01\xff\xfe5"), Password: "x"}, "location",
			[]string{"begins with 00 01 ff fe"}},
		"mixed case": {Location{Path: sample("client.jks"), Type: "Jks", Password: "x"}, "type",
			[]string{"case-sensitive", "use jks"}},
		"ending as type": {Location{Path: sample("client.p12"), Type: "p12", Password: "x"}, "type",
			[]string{`unknown type "p12"`, "are pkcs12"}},
		"unknown type": {Location{Path: sample("client.p12"), Type: "bks", Password: "x"}, "type",
			[]string{`unknown type "bks"`}},
		"no password, jks":   {Location{Path: sample("client.jks")}, "password", []string{"not set"}},
		"no password, jceks": {Location{Path: sample("trust.jceks")}, "password", []string{"not set"}},
		"no password, p12":   {Location{Path: sample("trust.p12")}, "password", []string{"not set"}},
		"wrong password, jks": {Location{Path: sample("client.jks"), Password: "x"}, "password",
			[]string{"wrong password", "client.jks"}},
		"wrong password, jceks": {Location{Path: sample("client.jceks"), Password: "x"}, "password",
			[]string{"wrong password", "client.jceks"}},
		"wrong password, p12": {Location{Path: sample("client.p12"), Password: "x"}, "password",
			[]string{"wrong password", "client.p12"}},
		"wrong password, legacy": {Location{Path: sample("client-legacy.p12"), Password: "x"}, "password",
			[]string{"wrong password"}},
		"cut off": {Location{Path: write("cut", string(jks[:500])), Password: "changeit"}, "location",
			[]string{"entry 1 of 1", "bytes remain"}},
		"pkcs11": {Location{Path: "/usr/lib/none.so", Type: "pkcs11", Password: "x"}, "type",
			[]string{"-tags pkcs11", "_pkcs11.tar.gz", "--build-arg TAGS=pkcs11"}},
		"PEM of another type":  {Location{PEM: []byte("x"), Type: "jks"}, "type", []string{"use pem"}},
		"PEM without anything": {Location{PEM: []byte("x")}, "pem", []string{"contains no key and no certificate"}},
		"BER": {Location{Path: write("ber.p12", "\x30\x80\x02\x01\x03\x30\x80\x06\x09"),
			Password: "x"}, "location", []string{"BER", "expected DER", "keytool -importkeystore"}},
		"BER, in DER": {Location{Path: write("ber2.p12", berInDER), Password: "x"}, "location",
			[]string{"BER", "expected DER"}},
		"domain": {Location{Path: sample("domain.dks") + "#other", Password: "x", Type: "dks"},
			"location", []string{`no domain "other"`, `"sample"`}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := Open(c.location)
			if name == "pkcs11" && withPKCS11 {
				c.setting = "location"
				c.text = []string{"none.so"}
			}
			expectFault(t, err, c.setting, c.text...)
		})
	}
}

func TestRejectedKeys(t *testing.T) {
	cases := map[string]struct {
		store    string
		location Location
		setting  string
		text     []string
	}{
		"wrong key password, not given": {"keypass.jks", Location{}, "key-password", []string{"is not set", `"other"`,
			"password is not the password of the key"}},
		"wrong key password, jks": {"keypass.jks", Location{KeyPassword: "x"}, "key-password",
			[]string{"wrong password", `"other"`}},
		"wrong key password, jceks": {"client.jceks", Location{KeyPassword: "x"}, "key-password",
			[]string{"wrong password", `"client"`}},
		"wrong key password, p12": {"client.p12", Location{KeyPassword: "x"}, "key-password",
			[]string{"wrong password", `"client"`}},
		"wrong key password, legacy": {"client-legacy.p12", Location{KeyPassword: "x"}, "key-password",
			[]string{"wrong password", `"client"`}},
		"secret key, jceks": {"secret.jceks", Location{}, "location", []string{"no private key",
			`"sec" (secret key)`}},
		"secret key, p12": {"secret.p12", Location{}, "location", []string{"no private key",
			`"sec" (secret key)`}},
		"trust store": {"trust.jks", Location{}, "location", []string{"no private key",
			`"root" (trusted certificate)`}},
		"secret key by alias": {"secret.p12", Location{Alias: "sec"}, "alias",
			[]string{`"sec"`, "is a secret key"}},
		"no such alias": {"client.jks", Location{Alias: "nobody"}, "alias",
			[]string{`no entry "nobody"`, `"client" (key)`}},
		"trusted by alias": {"trust.p12", Location{Alias: "ROOT"}, "alias", []string{"is a trusted certificate"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := mustOpen(t, at(t, c.store, c.location)).Certificate()
			expectFault(t, err, c.setting, c.text...)
		})
	}
	for _, name := range []string{"secret.jceks", "secret.p12"} {
		_, err := mustOpen(t, at(t, name, Location{})).Roots()
		expectFault(t, err, "location", "no trusted certificate", `"sec" (secret key)`)
	}
}

// put replaces a file by renaming.
func put(t testing.TB, path string, parts ...[]byte) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), "next")
	require.NoError(t, os.WriteFile(next, bytes.Join(parts, nil), 0o600))
	require.NoError(t, os.Rename(next, path))
}

func mustOpen(t testing.TB, l Location) *Store {
	t.Helper()
	s, err := Open(l)
	require.NoError(t, err)
	return s
}

// expectFault expects an *Error for a setting with these texts.
func expectFault(t testing.TB, err error, setting string, texts ...string) {
	t.Helper()
	var f *Error
	if !errors.As(err, &f) {
		t.Errorf("%v, expected an error that names %s", err, setting)
		return
	}
	if f.Setting != setting {
		t.Errorf("%q names the setting %s, expected %s", f, f.Setting, setting)
	}
	for _, text := range texts {
		if !strings.Contains(f.Text, text) {
			t.Errorf("found %q, expected %q in it", f, text)
		}
	}
}

package keystore

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
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

// sampleAt completes a location of a sample. For the domain it changes the current folder, since the domain names its
// stores by ${user.dir}.
func sampleAt(t testing.TB, name string, l Location) Location {
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

// The type must match the content, but jks and pkcs12 may be configured for each other.
func TestTypeAndContent(t *testing.T) {
	sampleOf := map[kind]string{
		kindJKS:    "client.jks",
		kindJCEKS:  "client.jceks",
		kindPKCS12: "client.p12",
		kindPEM:    "client.crt.pem",
		kindDKS:    "domain.dks",
	}
	for _, configured := range []kind{kindJKS, kindJCEKS, kindPKCS12, kindPEM, kindDKS} {
		for actual, file := range sampleOf {
			upper := strings.ToUpper(string(configured))
			_, err := Open(sampleAt(t, file, Location{Type: string(configured), Password: "changeit"}))
			_, errUpper := Open(sampleAt(t, file, Location{Type: upper, Password: "changeit"}))
			isCompatible := configured == actual || (configured == kindJKS && actual == kindPKCS12) ||
				(configured == kindPKCS12 && actual == kindJKS)
			switch {
			case isCompatible && (err != nil || errUpper != nil):
				t.Errorf("%s as %s: expected no error, found %v, in upper case %v", file, configured, err, errUpper)
			case !isCompatible:
				expectFault(t, err, "type", string(configured)+", but ", strings.ToUpper(string(actual))+" file")
			}
		}
	}
}

// berInDER is the beginning of a PKCS12 file whose contents alone have an indefinite length.
var berInDER = "\x30\x81\xdc\x02\x01\x03\x30\x81\xd6\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01\xa0\x81\xc8\x24\x80" +
	strings.Repeat("\x00", 198)

// rejectedStoreCase is a location that cannot be opened, and the error.
type rejectedStoreCase struct {
	location Location
	setting  string   // in the error
	text     []string // in the error
}

func rejectedStoreCases(t *testing.T) map[string]rejectedStoreCase {
	t.Helper()
	folder := t.TempDir()
	write := func(name, content string) string {
		replaceFile(t, filepath.Join(folder, name), []byte(content))
		return filepath.Join(folder, name)
	}
	jks, err := os.ReadFile(sample("client.jks"))
	require.NoError(t, err)
	return map[string]rejectedStoreCase{
		"no path": {location: Location{Password: "x"}, setting: "location", text: []string{"not set"}},
		"no file": {
			location: Location{Path: folder + "/no", Password: "x"},
			setting:  "location",
			text:     []string{"no such file"},
		},
		"a folder": {
			location: Location{Path: folder, Password: "x"},
			setting:  "location",
			text:     []string{"not a file"},
		},
		"empty": {
			location: Location{Path: write("empty", ""), Password: "x"},
			setting:  "location",
			text:     []string{"an empty file"},
		},
		"text": {
			location: Location{Path: write("text", "hello"), Password: "x"},
			setting:  "location",
			text:     []string{"a text file without keys"},
		},
		"bytes": {
			location: Location{Path: write("bytes", "\x00\x01\xff\xfe5"), Password: "x"},
			setting:  "location",
			text:     []string{"begins with 00 01 ff fe"},
		},
		"mixed case": {
			location: Location{Path: sample("client.jks"), Type: "Jks", Password: "x"},
			setting:  "type",
			text:     []string{"case-sensitive", "use jks"},
		},
		"ending as type": {
			location: Location{Path: sample("client.p12"), Type: "p12", Password: "x"},
			setting:  "type",
			text:     []string{`unknown type "p12"`, "are pkcs12"},
		},
		"unknown type": {
			location: Location{Path: sample("client.p12"), Type: "bks", Password: "x"},
			setting:  "type",
			text:     []string{`unknown type "bks"`},
		},
		"no password, jks": {
			location: Location{Path: sample("client.jks")},
			setting:  "password",
			text:     []string{"not set"},
		},
		"no password, jceks": {
			location: Location{Path: sample("trust.jceks")},
			setting:  "password",
			text:     []string{"not set"},
		},
		"no password, p12": {
			location: Location{Path: sample("trust.p12")},
			setting:  "password",
			text:     []string{"not set"},
		},
		"wrong password, jks": {
			location: Location{Path: sample("client.jks"), Password: "x"},
			setting:  "password",
			text:     []string{"wrong password", "client.jks"},
		},
		"wrong password, jceks": {
			location: Location{Path: sample("client.jceks"), Password: "x"},
			setting:  "password",
			text:     []string{"wrong password", "client.jceks"},
		},
		"wrong password, p12": {
			location: Location{Path: sample("client.p12"), Password: "x"},
			setting:  "password",
			text:     []string{"wrong password", "client.p12"},
		},
		"wrong password, legacy": {
			location: Location{Path: sample("client-legacy.p12"), Password: "x"},
			setting:  "password",
			text:     []string{"wrong password"},
		},
		"cut off": {
			location: Location{Path: write("cut", string(jks[:500])), Password: "changeit"},
			setting:  "location",
			text:     []string{"entry 1 of 1", "bytes remain"},
		},
		"pkcs11": {
			location: Location{Path: "/usr/lib/none.so", Type: "pkcs11", Password: "x"},
			setting:  "type",
			text:     []string{"-tags pkcs11", "_pkcs11.tar.gz", "--build-arg TAGS=pkcs11"},
		},
		"PEM of another type": {
			location: Location{PEM: []byte("x"), Type: "jks"},
			setting:  "type",
			text:     []string{"use pem"},
		},
		"PEM without anything": {
			location: Location{PEM: []byte("x")},
			setting:  "pem",
			text:     []string{"contains no key and no certificate"},
		},
		"BER": {
			location: Location{Path: write("ber.p12", "\x30\x80\x02\x01\x03\x30\x80\x06\x09"), Password: "x"},
			setting:  "location",
			text:     []string{"BER", "expected DER", "keytool -importkeystore"},
		},
		"BER, in DER": {
			location: Location{Path: write("ber2.p12", berInDER), Password: "x"},
			setting:  "location",
			text:     []string{"BER", "expected DER"},
		},
		"domain": {
			location: Location{Path: sample("domain.dks") + "#other", Password: "x", Type: "dks"},
			setting:  "location",
			text:     []string{`no domain "other"`, `"sample"`},
		},
	}
}

func TestRejectedStores(t *testing.T) {
	for name, c := range rejectedStoreCases(t) {
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

var rejectedKeysCases = map[string]struct {
	store    string
	location Location
	setting  string
	text     []string
}{
	"wrong key password, not given": {
		store:    "keypass.jks",
		location: Location{},
		setting:  "key-password",
		text:     []string{"is not set", `"other"`, "password is not the password of the key"},
	},
	"wrong key password, jks": {
		store:    "keypass.jks",
		location: Location{KeyPassword: "x"},
		setting:  "key-password",
		text:     []string{"wrong password", `"other"`},
	},
	"wrong key password, jceks": {
		store:    "client.jceks",
		location: Location{KeyPassword: "x"},
		setting:  "key-password",
		text:     []string{"wrong password", `"client"`},
	},
	"wrong key password, p12": {
		store:    "client.p12",
		location: Location{KeyPassword: "x"},
		setting:  "key-password",
		text:     []string{"wrong password", `"client"`},
	},
	"wrong key password, legacy": {
		store:    "client-legacy.p12",
		location: Location{KeyPassword: "x"},
		setting:  "key-password",
		text:     []string{"wrong password", `"client"`},
	},
	"secret key, jceks": {
		store:    "secret.jceks",
		location: Location{},
		setting:  "location",
		text:     []string{"no private key", `"sec" (secret key)`},
	},
	"secret key, p12": {
		store:    "secret.p12",
		location: Location{},
		setting:  "location",
		text:     []string{"no private key", `"sec" (secret key)`},
	},
	"trust store": {
		store:    "trust.jks",
		location: Location{},
		setting:  "location",
		text:     []string{"no private key", `"root" (trusted certificate)`},
	},
	"secret key by alias": {
		store:    "secret.p12",
		location: Location{Alias: "sec"},
		setting:  "alias",
		text:     []string{`"sec"`, "is a secret key"},
	},
	"no such alias": {
		store:    "client.jks",
		location: Location{Alias: "nobody"},
		setting:  "alias",
		text:     []string{`no entry "nobody"`, `"client" (key)`},
	},
	"trusted by alias": {
		store:    "trust.p12",
		location: Location{Alias: "ROOT"},
		setting:  "alias",
		text:     []string{"is a trusted certificate"},
	},
}

func TestRejectedKeys(t *testing.T) {
	for name, c := range rejectedKeysCases {
		t.Run(name, func(t *testing.T) {
			_, err := mustOpen(t, sampleAt(t, c.store, c.location)).Certificate()
			expectFault(t, err, c.setting, c.text...)
		})
	}
	for _, name := range []string{"secret.jceks", "secret.p12"} {
		_, err := mustOpen(t, sampleAt(t, name, Location{})).Roots()
		expectFault(t, err, "location", "no trusted certificate", `"sec" (secret key)`)
	}
}

// replaceFile writes a file with the parts as its content by renaming, so that it is a new file.
func replaceFile(t testing.TB, path string, parts ...[]byte) {
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
		t.Errorf("expected an error that names %s, found %v", setting, err)
		return
	}
	assert.True(t, f.Setting == setting, "expected the setting %s, found %s in %q", setting, f.Setting, f)
	for _, text := range texts {
		assert.True(t, strings.Contains(f.Text, text), "expected %q in the error, found %q", text, f)
	}
}

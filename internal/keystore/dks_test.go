package keystore

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

func TestParseDKS(t *testing.T) {
	t.Setenv("JAVA_HOME", "/java")
	currentFolder, err := os.Getwd()
	require.NoError(t, err)
	cases := map[string]struct {
		text string
		want []dksDomain
	}{
		"defaults of the domain": {
			`domain d keystoreType="JKS" entryNameSeparator="/" { keystore a keystoreURI="x"; keystore b keystoreURI='y' keystoreTYPE="PKCS12"; };`,
			[]dksDomain{{
				name:       "d",
				properties: map[string]string{"keystoretype": "JKS", "entrynameseparator": "/"},
				stores: []dksStore{
					{"a", map[string]string{"keystoretype": "JKS", "entrynameseparator": "/", "keystoreuri": "x"}},
					{"b", map[string]string{"keystoretype": "PKCS12", "entrynameseparator": "/", "keystoreuri": "y"}},
				},
			}},
		},
		"comments, several domains, no last semicolon": {
			"/* a */ DOMAIN a { // b\n keystore k keystoreURI=\"http://x//y\" ; } ; domain " +
				"b{keystore k keystoreURI=\"z\";}",
			[]dksDomain{
				{"a", map[string]string{}, []dksStore{{"k", map[string]string{"keystoreuri": "http://x//y"}}}},
				{"b", map[string]string{}, []dksStore{{"k", map[string]string{"keystoreuri": "z"}}}},
			},
		},
		"system properties and escapes": {
			`domain d { keystore k keystoreURI="file:///${user.dir}${/}a\"b\101\\\n" keystorePasswordEnv="${java.home}"; };`,
			[]dksDomain{{
				name:       "d",
				properties: map[string]string{},
				stores: []dksStore{{"k", map[string]string{
					"keystoreuri":         "file:///" + currentFolder + "/a\"bA\\\n",
					"keystorepasswordenv": "/java",
				}}},
			}},
		},
	}
	if runtime.GOOS == "windows" {
		delete(cases, "system properties and escapes")
	}
	for name, c := range cases {
		got, err := parseDKS(c.text)
		assert.NoError(t, err, name)
		diff := cmp.Diff(c.want, got, cmp.AllowUnexported(dksDomain{}, dksStore{}))
		assert.True(t, diff == "", "%s: %s", name, diff)
	}
}

func TestRejectedDKS(t *testing.T) {
	cases := map[string]string{
		"":                 "found none",
		"domain":           `line 1: found the end of the file, expected the name of a domain`,
		"domain d {":       `expected "keystore"`,
		"domain d { };":    "domain d has no keystore",
		"domain {":         `found "{", expected the name of a domain`,
		"\n\ndomain d x {": `line 3: found "x", expected a property`,
		`domain d { keystore k keystoreURI=x; };`:      `found "x", expected the value of keystoreURI in quotes`,
		`domain d { keystore k keystoreURI "x"; };`:    `expected "="`,
		`domain d { keystore k keystoreURI="${x}"; };`: "keystoreURI: ${x} is not supported, expected user.dir",
		`domain d { keystore k keystoreURI="${x"; };`:  "${x has no closing brace",
		`domain d { keystore k; keystore k; };`:        "a second keystore k",
		`grant { permission java.security.All; };`:     `found "grant", expected "domain"`,
		"domain d {" + manyStores(101) + "};":          "more than 100 keystores",
	}
	for text, want := range cases {
		if _, err := parseDKS(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: expected an error with %q, found %v", text, want, err)
		}
	}
}

// manyStores returns the text of n key stores with different names.
func manyStores(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("keystore k" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + ";")
	}
	return b.String()
}

var domainCases = map[string]struct {
	text    string
	alias   string
	owner   string
	setting string
	texts   []string
}{
	"a password of its own": {
		text:  `keystore g keystoreURI="DIR/greek.jks" keystorePasswordEnv="KEYSTORE_TEST_PASSWORD"; keystore t keystoreURI="DIR/trust.jks";`,
		owner: "first",
	},
	"by prefixed alias": {
		text:  `keystore a keystoreURI="DIR/several.jks"; keystore b keystoreURI="DIR/chain.jks";`,
		alias: "a second",
		owner: "second",
	},
	"by alias alone": {
		text:  `keystore a keystoreURI="DIR/several.jks"; keystore b keystoreURI="DIR/chain.jks";`,
		alias: "second",
		owner: "second",
	},
	"an alias of two": {
		text:    `keystore a keystoreURI="DIR/several.jks"; keystore b keystoreURI="DIR/chain.jks";`,
		alias:   "first",
		setting: "alias",
		texts:   []string{`no entry "first"`, `"a first" (key)`, `"b first" (key)`},
	},
	"a URI": {text: `keystore a keystoreURI="file://DIR/chain%2Ejks";`, owner: "first"},
	"no such variable": {
		text:    `keystore a keystoreURI="DIR/chain.jks" keystorePasswordEnv="KEYSTORE_TEST_NONE";`,
		setting: "location",
		texts:   []string{"KEYSTORE_TEST_NONE", "not set", "keystore a of domain d"},
	},
	"wrong password": {
		text:    `keystore a keystoreURI="DIR/chain.jks" keystorePasswordEnv="KEYSTORE_TEST_PASSWORD";`,
		setting: "password",
		texts:   []string{"wrong password", "keystore a of domain d"},
	},
	"no file": {
		text:    `keystore a keystoreURI="DIR/none.jks";`,
		setting: "location",
		texts:   []string{"no such file", "keystore a of domain d"},
	},
	"no URI": {
		text:    `keystore a keystoreType="JKS";`,
		setting: "location",
		texts:   []string{"keystoreURI: is not set"},
	},
	"another machine": {
		text:    `keystore a keystoreURI="file://host/x.jks";`,
		setting: "location",
		texts:   []string{"is not a local file"},
	},
	"relative URI": {
		text:    `keystore a keystoreURI="file:x.jks";`,
		setting: "location",
		texts:   []string{"is not a local file"},
	},
	"wrong type": {
		text:    `keystore a keystoreType="JCEKS" keystoreURI="DIR/chain.jks";`,
		setting: "type",
		texts:   []string{"jceks, but", "JKS file"},
	},
	"unknown type": {
		text:    `keystore a keystoreType="BKS" keystoreURI="DIR/chain.jks";`,
		setting: "location",
		texts:   []string{"keystoreType", "unknown type"},
	},
	"itself": {text: `keystore a keystoreURI="TMP/d.dks";`, setting: "location", texts: []string{"cannot contain"}},
	"itself by type": {
		text:    `keystore a keystoreType="DKS" keystoreURI="TMP/d.dks";`,
		setting: "location",
		texts:   []string{"cannot contain"},
	},
}

// Passwords, prefixes and errors of the stores of a domain.
func TestDomain(t *testing.T) {
	folder := t.TempDir()
	storeFolder := filepath.Join(samples, "more")
	t.Setenv("KEYSTORE_TEST_PASSWORD", greek)
	cases := domainCases
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			text := strings.NewReplacer("DIR", storeFolder, "TMP", folder).Replace(c.text)
			replaceFile(t, filepath.Join(folder, "d.dks"), []byte("domain d {"+text+"};"))
			s, err := Open(Location{Path: filepath.Join(folder, "d.dks"), Password: "changeit", Alias: c.alias})
			if err == nil {
				certificate, cerr := s.Certificate()
				if err = cerr; err == nil && certificate.Leaf.Subject.CommonName != c.owner {
					t.Errorf("expected the certificate of %s, found %s", c.owner, certificate.Leaf.Subject)
				}
			}
			if c.setting != "" {
				expectFault(t, err, c.setting, c.texts...)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	replaceFile(t, filepath.Join(folder, "d.dks"), []byte(`domain d { keystore t keystoreURI="`+storeFolder+`/trust.jks"; };`))
	_, err := Open(Location{Path: filepath.Join(folder, "d.dks")})
	expectFault(t, err, "password", "is not set")
}

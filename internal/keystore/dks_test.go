package keystore

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/culvert-project/culvert/internal/base/require"
)

func TestParseDKS(t *testing.T) {
	t.Setenv("JAVA_HOME", "/java")
	here, err := os.Getwd()
	require.NoError(t, err)
	cases := map[string]struct {
		text string
		want []dksDomain
	}{
		"defaults of the domain": {
			`domain d keystoreType="JKS" entryNameSeparator="/" { keystore a keystoreURI="x"; keystore b keystoreURI='y' keystoreTYPE="PKCS12"; };`,
			[]dksDomain{{"d", map[string]string{"keystoretype": "JKS", "entrynameseparator": "/"}, []dksStore{
				{"a", map[string]string{"keystoretype": "JKS", "entrynameseparator": "/", "keystoreuri": "x"}},
				{"b", map[string]string{"keystoretype": "PKCS12", "entrynameseparator": "/", "keystoreuri": "y"}},
			}}},
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
			[]dksDomain{{"d", map[string]string{},
				[]dksStore{{"k", map[string]string{"keystoreuri": "file:///" + here + "/a\"bA\\\n",
					"keystorepasswordenv": "/java"}}}}},
		},
	}
	if runtime.GOOS == "windows" {
		delete(cases, "system properties and escapes")
	}
	for name, c := range cases {
		got, err := parseDKS(c.text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(dksDomain{}, dksStore{})); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
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
		"domain d {" + many(101) + "};":                "more than 100 keystores",
	}
	for text, want := range cases {
		if _, err := parseDKS(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, expected %q", text, err, want)
		}
	}
}

func many(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("keystore k" + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + ";")
	}
	return b.String()
}

// Passwords, prefixes and errors of the stores of a domain.
func TestDomain(t *testing.T) {
	folder := t.TempDir()
	more := filepath.Join(samples, "more")
	t.Setenv("KEYSTORE_TEST_PASSWORD", greek)
	cases := map[string]struct {
		text    string
		alias   string
		owner   string
		setting string
		texts   []string
	}{
		"a password of its own": {`keystore g keystoreURI="DIR/greek.jks" keystorePasswordEnv="KEYSTORE_TEST_PASSWORD"; keystore t keystoreURI="DIR/trust.jks";`, "", "first", "", nil},
		"by prefixed alias": {`keystore a keystoreURI="DIR/several.jks"; keystore b keystoreURI="DIR/chain.jks";`,
			"a second", "second", "", nil},
		"by alias alone": {`keystore a keystoreURI="DIR/several.jks"; keystore b keystoreURI="DIR/chain.jks";`,
			"second", "second", "", nil},
		"an alias of two": {`keystore a keystoreURI="DIR/several.jks"; keystore b keystoreURI="DIR/chain.jks";`,
			"first", "", "alias", []string{`no entry "first"`, `"a first" (key)`, `"b first" (key)`}},
		"a URI": {`keystore a keystoreURI="file://DIR/chain%2Ejks";`, "", "first", "", nil},
		"no such variable": {`keystore a keystoreURI="DIR/chain.jks" keystorePasswordEnv="KEYSTORE_TEST_NONE";`,
			"", "", "location", []string{"KEYSTORE_TEST_NONE", "not set", "keystore a of domain d"}},
		"wrong password": {`keystore a keystoreURI="DIR/chain.jks" keystorePasswordEnv="KEYSTORE_TEST_PASSWORD";`, "",
			"", "password", []string{"wrong password", "keystore a of domain d"}},
		"no file": {`keystore a keystoreURI="DIR/none.jks";`, "", "", "location", []string{"no such file",
			"keystore a of domain d"}},
		"no URI": {`keystore a keystoreType="JKS";`, "", "", "location",
			[]string{"keystoreURI: is not set"}},
		"another machine": {`keystore a keystoreURI="file://host/x.jks";`, "", "", "location",
			[]string{"is not a local file"}},
		"relative URI": {`keystore a keystoreURI="file:x.jks";`, "", "", "location",
			[]string{"is not a local file"}},
		"wrong type": {`keystore a keystoreType="JCEKS" keystoreURI="DIR/chain.jks";`, "", "", "type",
			[]string{"jceks, but", "JKS file"}},
		"unknown type": {`keystore a keystoreType="BKS" keystoreURI="DIR/chain.jks";`, "", "", "location",
			[]string{"keystoreType", "unknown type"}},
		"itself": {`keystore a keystoreURI="TMP/d.dks";`, "", "", "location",
			[]string{"cannot contain"}},
		"itself by type": {`keystore a keystoreType="DKS" keystoreURI="TMP/d.dks";`, "", "", "location",
			[]string{"cannot contain"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			put(t, filepath.Join(folder, "d.dks"), []byte("domain d {"+strings.NewReplacer("DIR", more, "TMP",
				folder).Replace(c.text)+"};"))
			s, err := Open(Location{Path: filepath.Join(folder, "d.dks"), Password: "changeit", Alias: c.alias})
			if err == nil {
				certificate, cerr := s.Certificate()
				if err = cerr; err == nil && certificate.Leaf.Subject.CommonName != c.owner {
					t.Errorf("certificate of %s, expected %s", certificate.Leaf.Subject, c.owner)
				}
			}
			if c.setting != "" {
				expectFault(t, err, c.setting, c.texts...)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	put(t, filepath.Join(folder, "d.dks"), []byte(`domain d { keystore t keystoreURI="`+more+`/trust.jks"; };`))
	_, err := Open(Location{Path: filepath.Join(folder, "d.dks")})
	expectFault(t, err, "password", "is not set")
}

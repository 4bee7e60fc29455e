//go:build real && pkcs11

package keystore

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ThalesGroup/crypto11"

	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
)

// Keys in a token of SoftHSM authenticate, and the certificates in another token are trusted.
func TestRealPKCS11(t *testing.T) {
	module := startSoftHSM(t, "keys", "roots")
	ca := certtest.Issue(t, "ca", nil, nil)
	fillKeys(t, module, ca)
	keys := Location{Type: "pkcs11", Path: module + "#keys", Password: "1234"}
	roots := Location{Type: "PKCS11", Path: module + "#roots", Password: "5678"}

	s := startServer(t, &tls.Config{Certificates: []tls.Certificate{certtest.Issue(t, "server", ca, nil).TLS()},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()})
	for _, alias := range []string{"rsa", "ec"} {
		for _, protocol := range []string{"TLSv1.2", "TLSv1.3"} {
			location := keys
			location.Alias = alias
			config := clientConfig(t, Options{Key: &location, Trust: &roots, Protocol: protocol})
			got, err := ask(t, s, config, "127.0.0.1")
			if err != nil || got != alias {
				t.Errorf("%s with %s: found the client name %q, %v", alias, protocol, got, err)
			}
		}
	}
	_, err := mustOpen(t, keys).Certificate()
	expectFault(t, err, "alias", "several keys", `"rsa"`, `"ec"`)
	_, err = mustOpen(t, roots).Certificate()
	expectFault(t, err, "location", "no private key", `"ca" (trusted certificate)`)

	refused := map[string]Location{
		"is not set":            {Type: "pkcs11", Path: module + "#keys"},
		"a different PIN":       {Type: "pkcs11", Path: module + "#keys", Password: "9999"},
		"2 tokens match":        {Type: "pkcs11", Path: module, Password: "1234"},
		`"keys" in slot`:        {Type: "pkcs11", Path: module + "#other", Password: "1234"},
		"a line library = FILE": {Type: "pkcs11", Path: sample("generate.sh"), Password: "1234"},
		"no such file":          {Type: "pkcs11", Path: "/no/such.so", Password: "1234"},
		"cannot be loaded":      {Type: "pkcs11", Path: sample("client.p12"), Password: "1234"},
		"slotListIndex = 99":    {Type: "pkcs11", Path: sunConfig(t, module, "slotListIndex = 99"), Password: "1234"},
	}
	for text, l := range refused {
		if _, err := Open(l); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("expected an error with %q, found %v", text, err)
		}
	}
	found := 0 // the module determines the order of slots
	for _, line := range []string{"slotListIndex = 0", "slotListIndex = 1"} {
		byIndex, err := Open(Location{Path: sunConfig(t, module, line), Password: "1234", Alias: "rsa"})
		if err != nil {
			continue
		}
		if _, err := byIndex.Certificate(); err != nil {
			t.Error(err)
		}
		found++
	}
	if found != 1 {
		t.Errorf("the token was found under %d indices, expected one", found)
	}
}

// A wrong PIN is rejected. The test has its own token, in which nobody has logged in before.
func TestRealPKCS11WrongPIN(t *testing.T) {
	module := startSoftHSM(t, "pin", "other")
	_, err := Open(Location{Type: "pkcs11", Path: module + "#pin", Password: "9999"})
	expectFault(t, err, "password", "wrong PIN")
}

// startSoftHSM starts with two empty tokens, PINs 1234 and 5678, and returns the module. It is a copy: a process loads
// a file once, and this copy knows only the tokens of this test.
func startSoftHSM(t *testing.T, first, second string) string {
	t.Helper()
	out, err := exec.Command("../../testdata/peers/softhsm/fetch.sh").Output()
	if err != nil {
		if e, ok := err.(*exec.ExitError); ok {
			t.Fatalf("%s%v", e.Stderr, err)
		}
		t.Fatal(err)
	}
	home := strings.TrimSpace(string(out))
	folder := t.TempDir()
	replaceFile(t, filepath.Join(folder, "softhsm2.conf"),
		[]byte("directories.tokendir = "+folder+"\nobjectstore.backend = file\nlog.level = ERROR\n"))
	t.Setenv("SOFTHSM2_CONF", filepath.Join(folder, "softhsm2.conf"))
	code, err := os.ReadFile(filepath.Join(home, "lib", "libsofthsm2.so"))
	require.NoError(t, err)
	module := filepath.Join(folder, "libsofthsm2.so")
	replaceFile(t, module, code)
	for pin, label := range map[string]string{"1234": first, "5678": second} {
		init := exec.Command(filepath.Join(home, "lib", "softhsm2-util"), "--module", module, "--init-token", "--free",
			"--label", label, "--pin", pin, "--so-pin", "00000000")
		if out, err := init.CombinedOutput(); err != nil {
			t.Fatalf("softhsm2-util: %s%v", out, err)
		}
	}
	return module
}

// sunConfig writes a configuration file in the format of Java's SunPKCS11.
func sunConfig(t *testing.T, module, line string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pkcs11.cfg")
	replaceFile(t, path, []byte("name = SoftHSM\nlibrary = "+module+"\n"+line+"\n"))
	return path
}

// fillKeys creates two keys in the first token with certificates of the CA, whose own certificate goes into the second
// token.
func fillKeys(t *testing.T, module string, ca *certtest.Issued) {
	t.Helper()
	keys := openForWriting(t, module, "keys", "1234")
	rsa, err := keys.GenerateRSAKeyPairWithLabel([]byte{1}, []byte("rsa"), 2048)
	require.NoError(t, err)
	ec, err := keys.GenerateECDSAKeyPairWithLabel([]byte{2}, []byte("ec"), elliptic.P256())
	require.NoError(t, err)
	for i, key := range []crypto.Signer{rsa, ec} {
		label := []string{"rsa", "ec"}[i]
		if err := keys.ImportCertificateWithLabel([]byte{byte(i + 1)}, []byte(label), certify(t, label, key.Public(),
			ca)); err != nil {
			t.Fatal(err)
		}
	}
	roots := openForWriting(t, module, "roots", "5678")
	require.NoError(t, roots.ImportCertificateWithLabel([]byte{3}, []byte("ca"), ca.Cert))
}

func openForWriting(t *testing.T, module, label, pin string) *crypto11.Context {
	t.Helper()
	c, err := crypto11.Configure(&crypto11.Config{Path: module, TokenLabel: label, Pin: pin})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func certify(t *testing.T, name string, key crypto.PublicKey, ca *certtest.Issued) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, ca.Cert, key, ca.Key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return parsed
}

//go:build real

package keystore

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/porttest"
)

// The stores that the installed keytool and openssl write can be opened.
func TestRealStores(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "stores")
	runTool(t, "", filepath.Join(samples, "make-stores.sh"), folder)
	openGeneratedStores(t, folder)
}

// The trust store of the installed Java opens with its usual password.
func TestRealJavaTrust(t *testing.T) {
	home := strings.TrimSpace(string(runTool(t, "", "sh", "-c",
		`java -XshowSettings:properties -version 2>&1 | sed -n 's/.*java.home = //p'`)))
	s := mustOpen(t, Location{Path: filepath.Join(home, "lib", "security", "cacerts"), Password: "changeit"})
	trusted, err := s.trustedCertificates()
	require.NoError(t, err)
	const minTrusted = 50 // any real distribution has more
	if len(trusted) < minTrusted {
		t.Errorf("expected at least %d trusted certificates, found %d of %d entries", minTrusted, len(trusted),
			len(s.entries))
	}
}

// dksSource is a Java program that loads a key store domain and prints its aliases. Its arguments are the URI of the
// domain and the names of the key stores that have the usual password.
const dksSource = `
import java.net.URI;
import java.security.*;
import java.util.*;

public class Domain {
    public static void main(String[] args) throws Exception {
        Map<String, KeyStore.ProtectionParameter> passwords = new HashMap<>();
        for (int i = 1; i < args.length; i++)
            passwords.put(args[i], new KeyStore.PasswordProtection("changeit".toCharArray()));
        KeyStore store = KeyStore.getInstance("DKS");
        store.load(new DomainLoadStoreParameter(new URI(args[0]), passwords));
        for (String alias : new TreeSet<>(Collections.list(store.aliases())))
            System.out.println(alias + (store.isKeyEntry(alias) ? " key" : " trusted"));
    }
}
`

// domains are the contents of the files of domains that Java and this package read. DIR stands for the folder of the
// key stores.
var domains = map[string]string{
	"plain":    `domain d { keystore a keystoreType="PKCS12" keystoreURI="file:///DIR/chain.p12"; keystore b keystoreType="JKS" keystoreURI="DIR/trust.jks"; };`,
	"user.dir": `domain d { keystore a keystoreType="PKCS12" keystoreURI="file:///${user.dir}/chain.p12"; };`,
	"defaults": `domain d keystoreType="JKS" entryNameSeparator=":" { keystore a keystoreURI="DIR/chain.jks"; keystore b keystoreURI="DIR/chain.jceks" keystoreType="JCEKS"; };`,
	"names":    `Domain d KEYSTORETYPE="JKS" { KeyStore a KeyStoreURI="DIR/chain.jks"; };`,
	"compat":   `domain d { keystore a keystoreType="JKS" keystoreURI="DIR/chain.p12"; keystore b keystoreType="PKCS12" keystoreURI="DIR/chain.jks"; };`,
	"comments": "// first\ndomain d { /* a\n b */ keystore a // behind\n " +
		"keystoreType=\"JKS\"\n\tkeystoreURI=\"DIR/chain.jks\" ; };",
	"provider":  `domain d keystoreProviderName="SUN" { keystore a keystoreType="JKS" keystoreURI="DIR/chain.jks"; };`,
	"env":       `domain d { keystore c keystorePasswordEnv="DOMAIN_PASSWORD" keystoreType="JKS" keystoreURI="DIR/chain.jks"; };`,
	"separator": `domain d entryNameSeparator=" -> " { keystore a keystoreType="JKS" keystoreURI="DIR/several.jks"; };`,
	"second":    `domain c { keystore z keystoreType="JKS" keystoreURI="DIR/trust.jks"; }; domain d { keystore a keystoreType="JKS" keystoreURI="DIR/chain.jks"; };`,
	"escapes":   `domain d { keystore a keystoreType="\112KS" keystoreURI="DIR/chain\56jks"; };`,
}

// Java finds the same entries as this package in a domain, with the same aliases and kinds.
func TestRealDomains(t *testing.T) {
	folder := t.TempDir()
	replaceFile(t, filepath.Join(folder, "Domain.java"), []byte(dksSource))
	runTool(t, folder, "javac", "Domain.java")
	stores := filepath.Join(samples, "more")
	t.Chdir(stores) // "user.dir" names the current folder
	t.Setenv("DOMAIN_PASSWORD", "changeit")
	for name, text := range domains {
		path := filepath.Join(folder, "domain.dks")
		replaceFile(t, path, []byte(strings.ReplaceAll(text, "DIR", stores)))
		want := strings.TrimSpace(string(runTool(t, stores, "java", "-cp", folder, "-XX:TieredStopAtLevel=1", "Domain",
			"file://"+path+"#d", "a", "b")))
		s, err := Open(Location{Path: path + "#d", Type: "dks", Password: "changeit"})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, e := range s.entries {
			got = append(got, e.alias+" "+strings.TrimSuffix(e.kind.String(), " certificate"))
		}
		slices.Sort(got)
		assert.True(t, strings.Join(got, "\n") == want,
			"%s: found the entries\n%s\nexpected those of Java\n%s", name, strings.Join(got, "\n"), want)
	}
}

// runTool runs a tool in a folder and returns its standard output. The tool must be installed; java and javac of
// JAVA_HOME have precedence. An empty folder means the current one.
func runTool(t *testing.T, folder, tool string, args ...string) []byte {
	t.Helper()
	if home := os.Getenv("JAVA_HOME"); home != "" && strings.HasPrefix(tool, "java") {
		tool = filepath.Join(home, "bin", tool)
	}
	cmd := exec.Command(tool, args...)
	cmd.Dir = folder
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.True(t, err == nil, "%s: %v\n%s%s", tool, err, out, stderr.Bytes())
	return out
}

// A server of OpenSSL that only offers RSA key exchange, or that renegotiates, is rejected with an error that names the
// setting which allows it, and accepted with that setting.
func TestRealRisks(t *testing.T) {
	ca := certtest.Issue(t, "CA", nil, nil)
	keyFile := filepath.Join(t.TempDir(), "server.pem") // with the certificate
	require.NoError(t, os.WriteFile(keyFile, rsaServer(t, ca).KeyPEM(t), 0o600))
	const renegotiate = "R\n" // a command of s_server
	for setting, c := range map[string]struct {
		cipher  string
		command string
		allow   func(*Options)
	}{
		"allow-rsa-key-exchange": {
			cipher: "AES128-GCM-SHA256",
			allow:  func(o *Options) { o.AllowRSAKeyExchange = true },
		},
		"allow-renegotiation": {
			cipher:  "ECDHE-RSA-AES128-GCM-SHA256",
			command: renegotiate,
			allow:   func(o *Options) { o.AllowRenegotiation = true },
		},
	} {
		t.Run(setting, func(t *testing.T) {
			o := Options{Trust: fromPEM(ca.PEM()), HasRisks: true}
			err := exchangeLine(t, keyFile, c.cipher, c.command, clientConfig(t, o))
			assert.Error(t, Explain(err, o), setting)
			c.allow(&o)
			require.NoError(t, exchangeLine(t, keyFile, c.cipher, c.command, clientConfig(t, o)))
		})
	}
}

// exchangeLine starts OpenSSL's server, connects to it, makes the server execute a command for the connection unless it
// is empty, and reads a line that the server sends then. It returns the error of the connection.
func exchangeLine(t *testing.T, keyFile, cipher, command string, config *tls.Config) error {
	t.Helper()
	address := porttest.Address(t)
	server := exec.Command("openssl", "s_server", "-accept", address, "-cert", keyFile, "-key", keyFile, "-tls1_2",
		"-cipher", cipher, "-naccept", "1")
	stdin, err := server.StdinPipe()
	require.NoError(t, err)
	stdout, err := server.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	defer server.Wait()
	defer server.Process.Kill()
	lines := bufio.NewScanner(stdout)
	awaitLine := func(prefix string) {
		for lines.Scan() && !strings.HasPrefix(lines.Text(), prefix) {
		}
	}
	awaitLine("ACCEPT")
	conn, err := tls.Dial("tcp", address, ForHost(config, "localhost"))
	if err != nil {
		return err
	}
	defer conn.Close()
	awaitLine("Shared ciphers") // the server has accepted the connection
	if command != "" {
		_, err = io.WriteString(stdin, command)
		require.NoError(t, err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(conn).ReadString('\n')
		read <- err
	}()
	if command != "" {
		if config.Renegotiation == tls.RenegotiateNever {
			return <-read // the client ends the connection
		}
		awaitLine("SSL_do_handshake -> 1") // the renegotiation has succeeded
	}
	_, err = io.WriteString(stdin, "hello\n") // the server sends it to the client
	require.NoError(t, err)
	return <-read
}

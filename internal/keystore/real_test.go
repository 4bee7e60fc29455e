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

	"github.com/culvert-project/culvert/internal/base/certtest"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/porttest"
)

// The stores that this machine's keytool and openssl write can be opened.
func TestRealStores(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "made")
	run(t, "", filepath.Join(samples, "make-stores.sh"), folder)
	openGeneratedStores(t, folder)
}

// The trust store of this machine's Java opens with its usual password.
func TestRealJavaTrust(t *testing.T) {
	home := strings.TrimSpace(string(run(t, "", "sh", "-c",
		`java -XshowSettings:properties -version 2>&1 | sed -n 's/.*java.home = //p'`)))
	s := mustOpen(t, Location{Path: filepath.Join(home, "lib", "security", "cacerts"), Password: "changeit"})
	trusted, err := s.trusted()
	require.NoError(t, err)
	if len(trusted) < 50 {
		t.Errorf("%d trusted certificates, expected more than 50; of %d entries", len(trusted), len(s.entries))
	}
}

// dksSource loads a domain in Java and prints its aliases.
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

// domains are read by Java and by package keystore. ENV has the password in the environment.
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

// Java finds the same entries under the same names.
func TestRealDomains(t *testing.T) {
	folder := t.TempDir()
	put(t, filepath.Join(folder, "Domain.java"), []byte(dksSource))
	run(t, folder, "javac", "Domain.java")
	more := filepath.Join(samples, "more")
	t.Chdir(more)
	t.Setenv("DOMAIN_PASSWORD", "changeit")
	for name, text := range domains {
		path := filepath.Join(folder, "domain.dks")
		put(t, path, []byte(strings.ReplaceAll(text, "DIR", more)))
		want := strings.TrimSpace(string(run(t, more, "java", "-cp", folder, "-XX:TieredStopAtLevel=1", "Domain",
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
		if strings.Join(got, "\n") != want {
			t.Errorf("%s: entries\n%s\nJava has\n%s", name, strings.Join(got, "\n"), want)
		}
	}
}

// run runs a tool, which must be installed, and returns its output.
func run(t *testing.T, folder, tool string, args ...string) []byte {
	t.Helper()
	if home := os.Getenv("JAVA_HOME"); home != "" && strings.HasPrefix(tool, "java") {
		tool = filepath.Join(home, "bin", tool)
	}
	c := exec.Command(tool, args...)
	c.Dir = folder
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", tool, err, out, stderr.Bytes())
	}
	return out
}

// OpenSSL's server with RSA key exchange only, or with renegotiation, is rejected by an error that names the setting,
// and works with the setting.
func TestRealRisks(t *testing.T) {
	ca := certtest.Issue(t, "CA", nil, nil)
	issued := rsaServer(t, ca)
	file := filepath.Join(t.TempDir(), "server.pem")
	require.NoError(t, os.WriteFile(file, issued.KeyPEM(t), 0o600))
	for setting, c := range map[string]struct {
		cipher  string
		command string
		allow   func(*Options)
	}{
		"allow-rsa-key-exchange": {"AES128-GCM-SHA256", "", func(o *Options) { o.AllowRSAKeyExchange = true }},
		"allow-renegotiation":    {"ECDHE-RSA-AES128-GCM-SHA256", "R\n", func(o *Options) { o.AllowRenegotiation = true }},
	} {
		t.Run(setting, func(t *testing.T) {
			o := Options{Trust: fromPEM(ca.PEM()), HasRisks: true}
			err := negotiated(t, file, c.cipher, c.command, client(t, o))
			if explained := Explain(err, o); explained == nil || !strings.Contains(explained.Error(), setting) {
				t.Errorf("expected an error that names %s, found %v", setting, explained)
			}
			c.allow(&o)
			require.NoError(t, negotiated(t, file, c.cipher, c.command, client(t, o)))
		})
	}
}

// negotiated connects to OpenSSL's server, sends it a command, and reads the line that it sends next.
func negotiated(t *testing.T, file, cipher, command string, config *tls.Config) error {
	t.Helper()
	address := porttest.Address(t)
	s := exec.Command("openssl", "s_server", "-accept", address, "-cert", file, "-key", file, "-tls1_2",
		"-cipher", cipher, "-naccept", "1")
	in, err := s.StdinPipe()
	require.NoError(t, err)
	out, err := s.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.Start())
	defer s.Wait()
	defer s.Process.Kill()
	said := bufio.NewScanner(out)
	says := func(text string) {
		for said.Scan() && !strings.HasPrefix(said.Text(), text) {
		}
	}
	says("ACCEPT")
	conn, err := tls.Dial("tcp", address, ForHost(config, "localhost"))
	if err != nil {
		return err
	}
	defer conn.Close()
	says("Shared ciphers") // the connection is open
	if command != "" {
		_, err = io.WriteString(in, command)
		require.NoError(t, err)
	}
	read := make(chan error, 1)
	go func() {
		_, err := bufio.NewReader(conn).ReadString('\n')
		read <- err
	}()
	if command != "" && config.Renegotiation == tls.RenegotiateNever {
		return <-read
	}
	if command != "" {
		says("SSL_do_handshake -> 1")
	}
	_, err = io.WriteString(in, "hello\n")
	require.NoError(t, err)
	return <-read
}

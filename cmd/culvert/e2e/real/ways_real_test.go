//go:build real

package real

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/kafka/embedded"
	"github.com/culvert-project/culvert/internal/transport/connectivitytest"
)

// ways is SAP CAP behind nginx and behind common proxies.
type ways struct {
	cap *capService
	// mutual and generated are ports that require a client certificate. The server certificate of mutual is in the
	// sample trust stores, the one of generated in the stores of more/. namesakes are ports for certificates of
	// another key with the same name, because OpenSSL finds only one by name. compressed is a port that compresses
	// all responses.
	mutual     string
	generated  string
	compressed string
	namesakes  [2]string
	// nginx and certificates are folders.
	nginx        string
	certificates string

	squid      *intermediary
	tinyproxy  *intermediary
	microsocks *intermediary
}

// intermediary is a proxy.
type intermediary struct {
	address string
	log     string
}

// countLog counts the matching lines of its log.
func (i *intermediary) countLog(t *testing.T, expression string) int {
	t.Helper()
	return countLines(t, i.log, expression)
}

func countLines(t *testing.T, file, expression string) int {
	t.Helper()
	log, err := os.ReadFile(file)
	require.NoError(t, err)
	return len(regexp.MustCompile("(?m)"+expression).FindAllString(string(log), -1))
}

const (
	waysRows = 20 // of Categories

	squidUser, squidPassword = "corp user", "p@ss:w/rd%"
	oidcSecret               = "a+b/c=%&d:e f"
)

// TestRealWays reaches a real service and a real broker through other authors' servers and proxies.
func TestRealWays(t *testing.T) {
	t.Parallel()
	w := &ways{nginx: t.TempDir(), certificates: t.TempDir()}
	dir := t.TempDir()
	port := e2etest.FreePort(t)
	w.cap = &capService{address: "127.0.0.1:" + port}
	w.cap.peer = e2etest.StartPeer(t, "cap/start.sh", dir, nil, port, "300", dir)
	w.startNginx(t)
	w.squid = startIntermediary(t, "squid")
	w.tinyproxy = startIntermediary(t, "tinyproxy")
	w.microsocks = startIntermediary(t, "microsocks")
	for _, part := range []struct {
		name string
		test func(*testing.T)
	}{
		{name: "Stores", test: w.testStores},
		{name: "Unknown", test: w.testUnknown},
		{name: "Packed", test: w.testPacked},
		{name: "HTTPProxy", test: w.testHTTPProxy},
		{name: "SOCKS5", test: w.testSOCKS5},
		{name: "OAuth2", test: w.testOAuth2},
		{name: "CloudConnector", test: w.testCloudConnector},
		{name: "Kafka", test: w.testKafka},
	} {
		t.Run(part.name, part.test)
	}
}

// startIntermediary starts a proxy in a folder that its own user, if it has one, can access.
func startIntermediary(t *testing.T, name string) *intermediary {
	t.Helper()
	dir, err := os.MkdirTemp("", "culvert-"+name+"-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	port := e2etest.FreePort(t)
	e2etest.StartPeer(t, "ways/start.sh", dir, []string{"HOSTS=127.0.0.1 localhost cap.corp tokens.corp"}, name, port,
		dir)
	log := map[string]string{"squid": "access.log"}[name]
	if log == "" {
		log = "server.log"
	}
	return &intermediary{address: "127.0.0.1:" + port, log: filepath.Join(dir, log)}
}

// startNginx starts nginx in front of the service.
func (w *ways) startNginx(t *testing.T) {
	t.Helper()
	script := exec.Command("../../../../testdata/peers/ways/pems.sh", e2etest.KeyStoreFolder(t), w.certificates)
	out, err := script.CombinedOutput()
	require.True(t, err == nil, "pems.sh: %v\n%s", err, out)
	w.mutual, w.generated, w.compressed = e2etest.FreePort(t), e2etest.FreePort(t), e2etest.FreePort(t)
	w.namesakes = [2]string{e2etest.FreePort(t), e2etest.FreePort(t)}
	servers := ""
	for _, s := range []struct{ port, certificate, clients string }{
		{port: w.mutual, certificate: "sample", clients: "clients"},
		{port: w.generated, certificate: "made", clients: "clients"},
		{port: w.namesakes[0], certificate: "sample", clients: "clients-jceks"},
		{port: w.namesakes[1], certificate: "sample", clients: "clients-p12"},
	} {
		path := w.certificates + `/` + s.certificate
		servers += `
	server { listen 127.0.0.1:` + s.port + ` ssl; ssl_certificate ` + path + `.pem; ssl_certificate_key ` + path + `.key;
		ssl_client_certificate ` + w.certificates + `/` + s.clients + `.pem; ssl_verify_client on;
		location / { proxy_pass http://cap; } }`
	}
	w.startServers(t, w.nginx, w.mutual, servers+`
	server { listen 127.0.0.1:`+w.compressed+`; gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any; location / { proxy_pass http://cap; } }`)
}

// startServers starts nginx with servers in front of the service.
func (w *ways) startServers(t *testing.T, dir, port, servers string) {
	t.Helper()
	conf := `
worker_processes 1; pid %DIR%/nginx.pid; error_log %DIR%/error.log;
events { }
http {
	client_body_temp_path %DIR%/body; proxy_temp_path %DIR%/proxy; fastcgi_temp_path %DIR%/fastcgi; uwsgi_temp_path %DIR%/uwsgi; scgi_temp_path %DIR%/scgi;
	log_format peer '$server_port $ssl_client_verify $ssl_client_fingerprint "$ssl_client_s_dn" $status "$sent_http_content_encoding" "$sent_http_transfer_encoding" $request';
	access_log %DIR%/access.log peer;
	proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $http_host;
	upstream cap { server ` + w.cap.address + `; keepalive 8; }` + servers + `
}
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf), 0o600))
	e2etest.StartPeer(t, "ways/start.sh", dir, nil, "nginx", port, dir)
}

// requests counts the matching lines of nginx's log: port, verification, fingerprint, name, status, encodings, request.
func (w *ways) requests(t *testing.T, expression string) int {
	t.Helper()
	return countLines(t, filepath.Join(w.nginx, "access.log"), expression)
}

// reader writes the file of a connector that reads Categories through the given address into a topic of its own name.
func (w *ways) reader(p *e2etest.Place, name, url string, more ...string) string {
	scheme, address, _ := strings.Cut(url, "://")
	host, port, _ := net.SplitHostPort(address)
	settings := append(w.cap.settings(name, "ODataSource"), setSettings(0, capPath, "Categories", name)...)
	// The adapter answers 500 if the idle connection of its own request to the v4 service was just closed.
	settings = e2etest.WithSettings(settings, append([]string{"sap.odata.host.protocol=" + scheme,
		"sap.odata.host.address=" + host, "sap.odata.host.port=" + port, "sap.odata.max.retries=2",
		"sap.odata.http.codes=408,429,500,502,503,504", "tasks.max=1"}, more...)...)
	return p.File(name+".properties", settings...)
}

// runAll runs connectors to their end and checks the number of records in topics.
func (w *ways) runAll(t *testing.T, p *e2etest.Place, files []string, want map[string]int) {
	t.Helper()
	p.MustRunOnce(files...)
	broker, err := embedded.Open(embedded.Options{Dir: p.Data, Listen: "127.0.0.1:0"})
	require.NoError(t, err)
	defer broker.Close()
	checkEndOffsets(t, broker.Addr(), want)
}

// checkEndOffsets checks the end offsets of topics.
func checkEndOffsets(t *testing.T, servers string, want map[string]int) {
	t.Helper()
	for topic, n := range want {
		assert.Equal(t, n, countTopic(t, servers, topic), "topic", topic, "records")
	}
}

// runRefused runs one connector that must fail, and checks its last line, and that no secret shows.
func (w *ways) runRefused(t *testing.T, p *e2etest.Place, file string, secret string, wants ...string) {
	t.Helper()
	r := p.RunOnce(file)
	assert.True(t, r.Code == 1 && strings.Contains(r.LastLine(), ": failed: "),
		"expected exit 1 and a failed task, found %d\n%s", r.Code, r.Stderr)
	for _, text := range wants {
		assert.True(t, strings.Contains(r.LastLine(), text), "expected %q in the last line: %s", text, r.LastLine())
	}
	assert.True(t, secret == "" || !strings.Contains(r.Stderr, secret),
		"expected no secret in the log, found\n%s", r.Stderr)
}

// testStores checks that nginx accepts certificates of every kind from stores of every type, and that trust stores
// accept nginx. TestMutualTLS and TestGeneratedStores have all stores.
func (w *ways) testStores(t *testing.T) {
	p := e2etest.NewPlace(t)
	var files []string
	want := map[string]int{}
	for i, c := range []struct {
		port    string
		store   string
		setting string
	}{
		{port: w.mutual, store: "client.jks"},
		{port: w.namesakes[0], store: "client.jceks"},
		{port: w.namesakes[1], store: "client.p12"},
		{port: w.mutual, store: "client-ec.p12", setting: "sap.odata.auth.type=certificate"},
		{port: w.generated, store: "keypass.jks", setting: "sap.odata.keystore.key.password=changeit2"},
		{port: w.generated, store: "more/openssl.p12"},
		{port: w.generated, store: "more/ed25519.p12"},
		{port: w.generated, store: "more/sealed-aes256.pem"},
	} {
		trust := "trust.jks"
		if c.port == w.generated {
			trust = "more/trust-openssl.p12"
		}
		settings := []string{"sap.odata.keystore.location=" + filepath.Join(e2etest.KeyStoreFolder(t), c.store),
			"sap.odata.keystore.password=" + e2etest.StorePassword,
			"sap.odata.truststore.location=" + filepath.Join(e2etest.KeyStoreFolder(t), trust),
			"sap.odata.truststore.password=" + e2etest.StorePassword}
		if c.setting != "" {
			settings = append(settings, c.setting)
		}
		name := fmt.Sprintf("s%02d", i)
		want[name] = waysRows
		files = append(files, w.reader(p, name, "https://localhost:"+c.port, settings...))
	}
	w.runAll(t, p, files, want)
	certificates := map[string]bool{}
	log, err := os.ReadFile(filepath.Join(w.nginx, "access.log"))
	require.NoError(t, err)
	request := regexp.MustCompile(`(?m)^\d+ SUCCESS (\w+) "[^"]*" 200 .*Categories`)
	for _, m := range request.FindAllStringSubmatch(string(log), -1) {
		certificates[m[1]] = true
	}
	// The certificates: client in three types, clientec, other, first, edward.
	assert.Len(t, 7, certificates, "certificates at nginx")
}

// A client without a certificate, with an unknown one, or that does not trust the server, reports the setting that
// fixes it.
func (w *ways) testUnknown(t *testing.T) {
	p := e2etest.NewPlace(t)
	trust := []string{"sap.odata.truststore.location=" + filepath.Join(e2etest.KeyStoreFolder(t), "trust.jks"),
		"sap.odata.truststore.password=" + e2etest.StorePassword}
	w.runRefused(t, p, w.reader(p, "none", "https://localhost:"+w.mutual, trust...), "",
		"No required SSL certificate was sent")
	w.runRefused(t, p, w.reader(p, "untrusted", "https://localhost:"+w.generated, trust...), "",
		"sap.odata.truststore.location")
	assert.Equal(t, 1, w.requests(t, `^`+w.mutual+` NONE `), "nginx to refuse one request without a certificate")
	// OpenSSL's own server rejects in the handshake, which the client learns after it in TLS 1.3.
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		port := e2etest.FreePort(t)
		ctx, cancel := context.WithCancel(context.Background())
		server := exec.CommandContext(ctx, "openssl", "s_server", "-accept", "127.0.0.1:"+port, "-cert",
			filepath.Join(w.certificates, "sample.pem"), "-key", filepath.Join(w.certificates, "sample.key"),
			"-CAfile", filepath.Join(e2etest.KeyStoreFolder(t), "more", "ca.pem"), "-Verify", "2",
			"-verify_return_error", "-www", version)
		server.WaitDelay = e2etest.PeerEndLimit
		output := &e2etest.Buffer{}
		server.Stdout = output
		server.Stderr = output
		require.NoError(t, server.Start())
		for deadline := time.Now().Add(e2etest.PeerEndLimit); !strings.Contains(output.String(), "ACCEPT"); {
			require.True(t, !time.Now().After(deadline),
				"expected openssl s_server to accept connections, found\n%s", output)
			time.Sleep(20 * time.Millisecond) // of another program nothing but its output can be waited for
		}
		w.runRefused(t, p, w.reader(p, "bare"+version, "https://localhost:"+port, trust...), "",
			"sap.odata.keystore.location")
		w.runRefused(t, p, w.reader(p, "stranger"+version, "https://localhost:"+port, append(trust,
			"sap.odata.keystore.location="+filepath.Join(e2etest.KeyStoreFolder(t), "client-ec.p12"),
			"sap.odata.keystore.password="+e2etest.StorePassword)...), "", "sap.odata.keystore.location")
		cancel()
		server.Wait()
	}
}

// Responses that nginx compresses while streaming are read unchanged.
func (w *ways) testPacked(t *testing.T) {
	p := e2etest.NewPlace(t)
	w.cap.entityModel = readMetadata(t, w.cap.get(t, capPath+"/$metadata"))
	const customers, set = 3000, "sap.odata#00.entityset=Customers"
	w.runAll(t, p, []string{w.reader(p, "packed", "http://127.0.0.1:"+w.compressed, set), w.reader(p, "packed-atom",
		"http://127.0.0.1:"+w.compressed, set, "sap.odata#00.format=atom")},
		map[string]int{"packed": customers, "packed-atom": customers})
	compareRows(t, "packed", w.cap.rows(t, "Customers"), w.cap.topic(t, p, "Customers", "packed"))
	count := w.requests(t, `^`+w.compressed+` .* 200 `)
	compressedCount := w.requests(t, `^`+w.compressed+` .* 200 "gzip" "chunked" GET `)
	assert.True(t, compressedCount >= 4 && count == compressedCount,
		"expected all responses compressed and in chunks, found %d of %d", compressedCount, count)
}

// viaSquid returns the settings of the proxy that resolves the test's names.
func (w *ways) viaSquid(password string) []string {
	return []string{"sap.odata.proxy.type=http", "sap.odata.proxy.address=" + w.squid.address,
		"sap.odata.proxy.user=" + squidUser, "sap.odata.proxy.password=" + password}
}

// mutualSettings returns the settings of a client that nginx trusts.
func mutualSettings(t *testing.T) []string {
	return []string{"sap.odata.keystore.location=" + filepath.Join(e2etest.KeyStoreFolder(t), "client.jks"),
		"sap.odata.keystore.password=" + e2etest.StorePassword,
		"sap.odata.truststore.location=" + filepath.Join(e2etest.KeyStoreFolder(t), "trust.jks"),
		"sap.odata.truststore.password=" + e2etest.StorePassword}
}

// capAt returns the service's address under another name.
func (w *ways) capAt(host string) string {
	_, port, _ := net.SplitHostPort(w.cap.address)
	return net.JoinHostPort(host, port)
}

// A common proxy with logon: http in absolute form, https by CONNECT; a wrong password is tried once.
func (w *ways) testHTTPProxy(t *testing.T) {
	p := e2etest.NewPlace(t)
	p.Environ = []string{"NO_PROXY="}
	port := startNamedNginx(t, w)
	w.runAll(t, p, []string{w.reader(p, "plain", "http://"+w.capAt("cap.corp"), w.viaSquid(squidPassword)...),
		w.reader(p, "secure", "https://cap.corp:"+port, append(w.viaSquid(squidPassword),
			"sap.odata.truststore.location="+filepath.Join(w.certificates, "corp.pem"))...)},
		map[string]int{"plain": waysRows, "secure": waysRows})
	n := w.squid.countLog(t, `^200 GET http://cap\.corp:\d+/.*Categories.* corp`)
	assert.True(t, n >= 1, "expected Squid to forward a request for rows, found none")
	n = w.squid.countLog(t, `^200 CONNECT cap\.corp:`+port)
	assert.True(t, n >= 1, "expected a tunnel through Squid, found none")
	for i, url := range []string{"http://" + w.capAt("cap.corp"), "https://cap.corp:" + port} {
		count := w.squid.countLog(t, `^407 `)
		secret := fmt.Sprintf("wr0ng-secret-%d", i)
		w.runRefused(t, p, w.reader(p, fmt.Sprintf("wrong%d", i), url, w.viaSquid(secret)...),
			secret, "407", "sap.odata.proxy.password")
		w.runRefused(t, p, w.reader(p, fmt.Sprintf("again%d", i), "http://"+w.capAt("cap.corp"), w.viaSquid(secret)...),
			secret, "proxy "+w.squid.address, "--resume-logons")
		n := w.squid.countLog(t, `^407 `) - count
		assert.True(t, n == 1, "%s: expected the wrong password to be sent once, found %d times", url, n)
	}
	w.runRefused(t, p, w.reader(p, "nowhere", "http://cap.corp:1", append(w.viaSquid(squidPassword),
		"sap.odata.max.retries=0")...), squidPassword, "503")

	// The environment's proxy and its exceptions apply.
	p.Environ = append(p.Environ, "HTTP_PROXY=http://corp%20user:p%40ss%3Aw%2Frd%25@"+w.squid.address)
	count := w.squid.countLog(t, `^200 GET`)
	w.runAll(t, p, []string{w.reader(p, "environment", "http://"+w.capAt("cap.corp"))},
		map[string]int{"environment": waysRows})
	n = w.squid.countLog(t, `^200 GET`) - count
	assert.AtLeast(t, 2, n, "with HTTP_PROXY: Squid to forward metadata and rows: requests")
	p.Environ = append(p.Environ, "NO_PROXY=.corp, 127.0.0.0/8")
	count = w.squid.countLog(t, `.`)
	w.runAll(t, p, []string{w.reader(p, "exempt", "http://"+w.cap.address, w.viaSquid(squidPassword)...)},
		map[string]int{"exempt": waysRows})
	// Without the proxy the name does not resolve.
	r := p.RunOnce(w.reader(p, "unresolved", "http://"+w.capAt("cap.corp"),
		append(w.viaSquid(squidPassword), "sap.odata.max.retries=0")...))
	if n := w.squid.countLog(t, `.`) - count; n != 0 || r.Code != 1 || !strings.Contains(r.LastLine(), "cap.corp") {
		t.Errorf("NO_PROXY: expected exit 1 and no request at Squid, found %d and %d\n%s", r.Code, n, r.LastLine())
	}
}

// startNamedNginx starts nginx under a name that only the proxy resolves, with a certificate for it, and returns its
// port.
func startNamedNginx(t *testing.T, w *ways) (port string) {
	t.Helper()
	dir := t.TempDir()
	pem := func(name string) string { return filepath.Join(w.certificates, name) }
	openssl := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
		"-nodes", "-days", "7", "-subj", "/CN=corp", "-addext", "subjectAltName=DNS:cap.corp", "-keyout",
		pem("corp.key"), "-out", pem("corp.pem"))
	out, err := openssl.CombinedOutput()
	require.True(t, err == nil, "openssl: %v\n%s", err, out)
	port = e2etest.FreePort(t)
	w.startServers(t, dir, port, `server { listen 127.0.0.1:`+port+` ssl; ssl_certificate `+pem("corp.pem")+
		`; ssl_certificate_key `+pem("corp.key")+`; location / { proxy_pass http://cap; } }`)
	return port
}

// SOCKS5 with user and password: the proxy resolves names; a wrong password is tried once.
func (w *ways) testSOCKS5(t *testing.T) {
	p := e2etest.NewPlace(t)
	socks := func(password string) []string {
		return []string{"sap.odata.proxy.type=socks5", "sap.odata.proxy.address=" + w.microsocks.address,
			"sap.odata.proxy.user=corp", "sap.odata.proxy.password=" + password}
	}
	w.runAll(t, p, []string{w.reader(p, "plain", "http://"+w.capAt("localhost"), socks("secret")...),
		w.reader(p, "secure", "https://localhost:"+w.mutual, append(socks("secret"),
			mutualSettings(t)...)...)}, map[string]int{"plain": waysRows, "secure": waysRows})
	for _, port := range []string{strings.TrimPrefix(w.cap.address, "127.0.0.1:"), w.mutual} {
		n := w.microsocks.countLog(t, `connected to localhost:`+port)
		assert.True(t, n >= 1, "expected MicroSocks to connect to localhost:%s, found no connection", port)
	}
	count := w.microsocks.countLog(t, `.`)
	w.runRefused(t, p, w.reader(p, "wrong", "http://"+w.capAt("localhost"), socks("wr0ng-secret")...),
		"wr0ng-secret", "sap.odata.proxy.password")
	n := w.microsocks.countLog(t, `.`) - count
	assert.True(t, n == 0, "expected MicroSocks to connect nobody with a wrong password, found %d connections", n)
}

// A token service of another author: the client's secret in a header and in the body, and through a proxy; a wrong one
// is tried once.
func (w *ways) testOAuth2(t *testing.T) {
	p := e2etest.NewPlace(t)
	p.Environ = []string{"NO_PROXY="}
	dir := t.TempDir()
	port := e2etest.FreePort(t)
	e2etest.StartPeer(t, "oidc/start.sh", dir, []string{"SECRET=" + oidcSecret}, port, dir)
	log := filepath.Join(dir, "server.log")
	front := t.TempDir()
	service := e2etest.FreePort(t)
	w.startServers(t, front, service, `server { listen 127.0.0.1:`+service+`; location / { auth_request /check; proxy_pass http://cap; }
		location = /check { internal; proxy_pass http://127.0.0.1:`+port+`; proxy_pass_request_body off; proxy_set_header Content-Length ""; } }`)
	oauth := func(host, client, how, secret string) []string {
		return []string{"sap.odata.auth.type=oauth2", "sap.odata.oauth.token.endpoint=http://" + net.JoinHostPort(host,
			port) + "/token", "sap.odata.oauth.client.id=" + client,
			"sap.odata.oauth.client.secret=" + secret, "sap.odata.oauth.client.auth=" + how,
			"sap.odata.oauth.scope=odata:read"}
	}
	w.runAll(t, p, []string{w.reader(p, "header", "http://127.0.0.1:"+service, oauth("127.0.0.1",
		"by-header", "header", oidcSecret)...),
		w.reader(p, "body", "http://127.0.0.1:"+service, oauth("127.0.0.1", "by-body", "body", oidcSecret)...),
		w.reader(p, "proxied", "http://cap.corp:"+service, append(w.viaSquid(squidPassword),
			oauth("tokens.corp", "by-body", "body", oidcSecret)...)...)},
		map[string]int{"header": waysRows, "body": waysRows, "proxied": waysRows})
	for client, most := range map[string]int{"by-header": 1, "by-body": 2} {
		n := countLines(t, log, `^token `+client+` odata:read$`)
		assert.True(t, n >= 1 && n <= most, "expected 1 to %d tokens for %s, found %d", most, client, n)
	}
	assert.Equal(t, 1, w.squid.countLog(t, `^200 POST http://tokens\.corp:\d+/token `), "request for a token at Squid")
	assert.Equal(t, 0, countLines(t, filepath.Join(front, "access.log"), `" 401 `), "nginx to refuse no request")
	count := countLines(t, log, `^refused invalid_client$`)
	w.runRefused(t, p, w.reader(p, "wrong", "http://127.0.0.1:"+service, oauth("127.0.0.1", "by-header",
		"header", "wr0ng-secret")...), "wr0ng-secret", "invalid_client", "sap.odata.oauth.client")
	n := countLines(t, log, `^refused invalid_client$`) - count
	assert.True(t, n == 1, "expected the wrong secret to be sent once, found %d times", n)
}

// The real service is reached through the double of the Connectivity proxy, in both modes.
func (w *ways) testCloudConnector(t *testing.T) {
	p := e2etest.NewPlace(t)
	account := connectivitytest.NewServer()
	t.Cleanup(account.Close)
	account.Map("cap.virtual:8000", w.cap.address)
	account.Map("localhost:44300", "127.0.0.1:"+w.mutual)
	key := "sap.odata.proxy.service.key=" + p.File("key.json", account.ServiceKey(0))
	w.runAll(t, p, []string{w.reader(p, "http", "http://cap.virtual:8000",
		"sap.odata.proxy.type=sap-connectivity-http", key),
		w.reader(p, "socks5", "http://cap.virtual:8000", "sap.odata.proxy.type=sap-connectivity-socks5", key),
		w.reader(p, "tls", "https://localhost:44300", append(mutualSettings(t),
			"sap.odata.proxy.type=sap-connectivity", key)...)},
		map[string]int{"http": waysRows, "socks5": waysRows, "tls": waysRows})
	for port, targets := range map[string][]string{
		"http":   {"http://cap.virtual:8000/"},
		"socks5": {"cap.virtual:8000", "localhost:44300"},
	} {
		for _, target := range targets {
			if account.Count(func(e connectivitytest.Entry) bool {
				return e.Port == port && strings.HasPrefix(e.Target, target)
			}) == 0 {
				t.Errorf("expected a request to %s through the port %s, found none", target, port)
			}
		}
	}
}

// A real broker is reached by SOCKS5 and by CONNECT, with TLS and a logon inside.
func (w *ways) testKafka(t *testing.T) {
	p := e2etest.NewPlace(t)
	dir := t.TempDir()
	port := e2etest.FreePort(t)
	securePort := e2etest.FreePort(t)
	e2etest.StartPeer(t, "kafka/start-broker.sh", dir, []string{"CONTROLLER_PORT=" + e2etest.FreePort(t),
		"SASL_PORT=" + securePort}, port, dir)
	worker := func(name, kind, address, user, password string) string {
		return p.File(name+"-worker.properties", "bootstrap.servers=127.0.0.1:"+securePort, "kafka.proxy.type="+kind,
			"kafka.proxy.address="+address, "kafka.proxy.user="+user, "kafka.proxy.password="+password,
			"security.protocol=SASL_SSL", "sasl.mechanism=SCRAM-SHA-256",
			`sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required `+
				`username="user" password="user-secret";`,
			"ssl.truststore.location="+filepath.Join(dir, "tls", "trust.p12"), "ssl.truststore.password=changeit",
			"offset.storage.partitions=1")
	}
	cases := []struct {
		name     string
		kind     string
		user     string
		password string
		proxy    *intermediary
		tunnel   string // in the log
	}{
		{name: "socks", kind: "socks5", user: "corp", password: "secret", proxy: w.microsocks,
			tunnel: `connected to 127\.0\.0\.1:` + securePort},
		{name: "squid", kind: "http", user: squidUser, password: squidPassword, proxy: w.squid,
			tunnel: `^200 CONNECT 127\.0\.0\.1:` + securePort},
		{name: "tinyproxy", kind: "http", user: "corp", password: "secret", proxy: w.tinyproxy,
			tunnel: `CONNECT 127\.0\.0\.1:` + securePort},
	}
	want := map[string]int{}
	for _, c := range cases {
		if r := p.RunOnce(worker(c.name, c.kind, c.proxy.address, c.user, c.password),
			w.reader(p, c.name, "http://"+w.cap.address)); r.Code != 0 {
			t.Errorf("%s: expected exit 0, found %d\n%s", c.name, r.Code, r.Stderr)
			continue
		}
		assert.True(t, c.proxy.countLog(t, c.tunnel) != 0,
			"%s: expected a connection in the proxy's log, found none", c.name)
		want[c.name] = waysRows
	}
	checkEndOffsets(t, "127.0.0.1:"+port, want)
	for _, c := range cases {
		r := p.RunOnce(worker("wrong", c.kind, c.proxy.address, c.user, "wr0ng-secret"),
			w.reader(p, "wrong", "http://"+w.cap.address))
		assert.True(t, r.Code != 0 && strings.Contains(r.LastLine(), "kafka.proxy.password") &&
			!strings.Contains(r.Stderr, "wr0ng-secret"),
			"%s with a wrong password: expected an error without the password, found exit %d\n%s", c.name, r.Code,
			r.Stderr)
	}
}

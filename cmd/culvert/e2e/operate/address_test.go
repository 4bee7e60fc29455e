package operate

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/culvert-project/culvert/internal/e2etest"
	"github.com/culvert-project/culvert/internal/porttest"
)

// Commands call the worker of --url, else of --config with its certificates, else of CULVERT_URL, which may contain a
// user.
func TestCommandsFindTheirWorker(t *testing.T) {
	t.Parallel()
	handler := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if user, password, _ := r.BasicAuth(); user != "anna" || password != "gehe/im" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			io.WriteString(w, `{"`+name+`":{"status":{"name":"`+name+`","connector":{"state":"RUNNING"},"tasks":[]}}}`)
		})
	}
	serve := func(name string) (urlWithUser string) {
		server := httptest.NewServer(handler(name))
		t.Cleanup(server.Close)
		return strings.Replace(server.URL, "//", "//anna:gehe%2Fim@", 1)
	}
	secure := httptest.NewUnstartedServer(handler("configured"))
	secure.TLS = &tls.Config{Certificates: []tls.Certificate{e2etest.LocalhostCertificate(t)}}
	secure.StartTLS()
	t.Cleanup(secure.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(secure.URL, "https://"), ":")

	p := e2etest.NewPlace(t)
	p.Environ = []string{"CULVERT_URL=" + serve("inherited"), "CULVERT_REST_PASSWORD=gehe/im"}
	lines := []string{"bootstrap.servers=embedded", "listeners=https://localhost:" + port,
		"listeners.https.ssl.truststore.location=" + filepath.Join(e2etest.KeyStoreFolder(t), "trust.jks"),
		"listeners.https.ssl.truststore.password=" + e2etest.StorePassword}
	file := p.File("conf/worker.properties", lines...)
	p.MustRun("connectors", "list").WantStdout("inherited")
	p.MustRun("connectors", "list", "--url", serve("named")).WantStdout("named")
	for _, path := range []string{file, "conf"} {
		p.MustRun("connectors", "list", "--config", path, "--user", "anna").WantStdout("configured")
	}
	p.Run("connectors", "list", "--config", file, "--user", "bert").WantCode(1).WantStderr("401")
	p.Run("status", "--config", file, "--url", "http://x").WantCode(2).WantStderr("[config url]")
	closed := porttest.Address(t)
	p.Run("drain", "--config", p.File("closed.properties", "bootstrap.servers=h:1", "listeners=http://"+closed)).
		WantCode(1).WantStderr("expected a running worker at http://" + closed)
	p.Run("status", "--config", p.File("silent.properties", "bootstrap.servers=h:1", "listeners=")).WantCode(2).
		WantStderr("silent.properties: expected listeners, found none")
	p.Environ[0] = "CULVERT_URL=ftp://x"
	p.Run("status").WantCode(2).WantStderr(`CULVERT_URL: expected http://HOST:PORT, found "ftp://x"`)
}

package transport

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/wit"
)

// address names the https service that a process of its own is to ask: Go reads the system's roots once a process. This
// file is for Linux, where SSL_CERT_FILE says where they are.
const address = "CULVERT_TEST_HTTPS"

// TestHTTPS: a certificate that the system's roots vouch for is taken; another, or one for another name, is a fault of
// the configuration that is not tried again, and nothing is sent.
func TestHTTPS(t *testing.T) {
	if at := os.Getenv(address); at != "" {
		askOverTLS(t, at)
		return
	}
	var requests atomic.Int64
	server := selfSigned(t, func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		if _, password, _ := r.BasicAuth(); r.TLS == nil || password != "p" {
			w.WriteHeader(http.StatusUnauthorized)
		}
		io.WriteString(w, r.Proto)
	})
	roots := filepath.Join(t.TempDir(), "roots.pem")
	require.NoError(t, os.WriteFile(roots, certificateOf(server), 0o600))
	_, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
	for _, c := range []struct{ at, roots, want string }{
		{"127.0.0.1:" + port, roots, "answer 200 HTTP/1.1"},
		{"localhost:" + port, roots, "fault config: https://localhost:" + port +
			": the certificate is not trusted: x509: certificate is valid for example.com"},
		{"127.0.0.1:" + port, os.DevNull, "fault config: https://127.0.0.1:" + port +
			": the certificate is not trusted: x509: certificate signed by unknown authority"},
	} {
		before := requests.Load()
		child := exec.Command(os.Args[0], "-test.run", "^TestHTTPS$", "-test.v")
		child.Env = append(os.Environ(), address+"="+c.at, "SSL_CERT_FILE="+c.roots, "SSL_CERT_DIR="+t.TempDir())
		out, err := child.CombinedOutput()
		if err != nil || !strings.Contains(string(out), c.want) {
			t.Errorf("%s, roots %s: expected %q, found %v\n%s", c.at, c.roots, c.want, err, out)
		}
		if trusted := strings.HasPrefix(c.want, "answer"); (requests.Load() > before) != trusted {
			t.Errorf("%s, roots %s: %d requests arrived", c.at, c.roots, requests.Load()-before)
		}
	}
}

// askOverTLS says what a client with nothing but defaults is answered.
func askOverTLS(t *testing.T, at string) {
	u := url.URL{Host: at}
	port, _ := strconv.Atoi(u.Port())
	c, err := New(Config{Scheme: "https", Address: u.Hostname(), Port: port, User: "u", Password: "p"})
	require.NoError(t, err)
	defer c.Close()
	answer, err := c.Do(t.Context(), &wit.Request{Method: "GET", Target: "/", Repeatable: true})
	var fault *wit.Fault
	switch {
	case errors.As(err, &fault) && fault.Kind == wit.FaultConfig:
		t.Log("fault config: " + fault.Message)
	case err != nil:
		t.Fatal(err)
	default:
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		t.Log("answer", answer.Status, string(text), err)
	}
}

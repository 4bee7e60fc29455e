package transport

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/internal/base/require"
)

// address names the https service that a process of its own is to ask: Go reads the system's roots once a process. This
// file is for Linux, where SSL_CERT_FILE says where they are.
const address = "CULVERT_TEST_HTTPS"

// A client with default settings accepts a certificate that the system's roots have signed.
func TestHTTPS(t *testing.T) {
	if at := os.Getenv(address); at != "" {
		host, port, _ := net.SplitHostPort(at)
		number, err := strconv.Atoi(port)
		require.NoError(t, err)
		c := opened(t, Config{Scheme: "https", Address: host, Port: number, User: "u", Password: "p"})
		wantStatus(t, c, get("/"), 200)
		return
	}
	server := selfSigned(t, func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); r.TLS == nil || password != "p" || r.Proto != "HTTP/1.1" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	roots := filepath.Join(t.TempDir(), "roots.pem")
	require.NoError(t, os.WriteFile(roots, certificateOf(server), 0o600))
	child := exec.Command(os.Args[0], "-test.run", "^TestHTTPS$")
	child.Env = append(os.Environ(), address+"="+server.Listener.Addr().String(), "SSL_CERT_FILE="+roots,
		"SSL_CERT_DIR="+t.TempDir())
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("expected the child to be answered, found %v\n%s", err, out)
	}
}

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

// address tells a child process which https service to call: Go reads the system's roots once per process. Linux
// only, for SSL_CERT_FILE.
const address = "CULVERT_TEST_HTTPS"

// A client with default settings trusts the system's roots.
func TestHTTPS(t *testing.T) {
	if at := os.Getenv(address); at != "" {
		host, port, _ := net.SplitHostPort(at)
		number, err := strconv.Atoi(port)
		require.NoError(t, err)
		c := opened(t, Config{Service: Service{Scheme: "https", Address: host, Port: number},
			Credentials: Credentials{User: "u", Password: "p"}})
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

package transport

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

// addressVariable is the environment variable by which the child process of the test receives the service's address. It
// is a process of its own since Go reads the system's roots once per process, from SSL_CERT_FILE on Linux.
const addressVariable = "CULVERT_TEST_HTTPS"

// A client with default settings trusts the system's roots.
func TestHTTPS(t *testing.T) {
	if address := os.Getenv(addressVariable); address != "" {
		// This is the child process.
		host, portText, _ := net.SplitHostPort(address)
		port, err := strconv.Atoi(portText)
		require.NoError(t, err)
		c := newClient(t, Config{
			Service:     Service{Scheme: "https", Address: host, Port: port},
			Credentials: Credentials{User: "u", Password: "p"},
		})
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
	child.Env = append(os.Environ(), addressVariable+"="+server.Listener.Addr().String(), "SSL_CERT_FILE="+roots,
		"SSL_CERT_DIR="+t.TempDir())
	out, err := child.CombinedOutput()
	assert.True(t, err == nil, "expected the child process to succeed, found %v\n%s", err, out)
}

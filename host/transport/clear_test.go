package transport

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/culvert-project/culvert/host/internal/base/require"
	"github.com/culvert-project/culvert/host/keystore"
	"github.com/culvert-project/culvert/host/keystore/keystoretest"
)

const samples = "../../testdata/samples/keystores/"

// tap passes everything on and keeps what somebody on the way would see.
type tap struct {
	listener net.Listener
	mu       sync.Mutex
	seen     []byte
}

func newTap(t *testing.T, to string) *tap {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &tap{listener: l}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
				running.Go(func() {
					io.Copy(io.MultiWriter(pair[1], p), pair[0])
					in.Close()
					out.Close()
				})
			}
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return p
}

func (p *tap) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, b...)
	return len(b), nil
}

// at is the address by the name that the certificate of the samples is for.
func (p *tap) at() string {
	_, port, _ := net.SplitHostPort(p.listener.Addr().String())
	return "https://localhost:" + port
}

// secured is a service with the certificate of the samples.
func secured(t *testing.T, handler http.Handler) *httptest.Server {
	t.Helper()
	own := keystoretest.Certificate(t, keystore.Location{Path: samples + "client.jks", Password: "changeit"})
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{own}}
	server.StartTLS()
	return server
}

// No secret and no token crosses in clear where TLS is on, and none is in the log, whatever the level.
func TestNothingCrossesInClear(t *testing.T) {
	tokens := &issuer{}
	endpoint := secured(t, tokens)
	tapped := newTap(t, endpoint.Listener.Addr().String())
	server := secured(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "SAP_SESSIONID", Value: "s3ssion"})
		w.Header().Set("X-CSRF-Token", "c5rf")
	}))
	way := newTap(t, server.Listener.Addr().String())
	defer endpoint.Close()
	defer server.Close()
	trust := []string{"tls.truststore.location=" + samples + "trust.jks", "tls.truststore.password=changeit"}
	log := &journal{}
	for _, roles := range [][]string{
		{"http.user=me", "http.password=p4ssword"},
		{"http.auth=header", "http.header.APIKey=4pikey"},
		byOAuth2(tapped.at() + "/token"),
	} {
		c := clientOf(t, rolesOf(t, way.at(), append(roles, trust...)...), Surroundings{Logger: log.logger()})
		r := withToken(post("/Orders"), "/")
		for range 2 {
			wantStatus(t, c, r, 200)
		}
		c.Close()
	}
	secrets := []string{"p4ssword", "bWU6", "4pikey", "c1ient-secret", "aWQ6", "t0ken-", "s3ssion", "c5rf", "changeit"}
	for _, p := range []*tap{way, tapped} {
		p.mu.Lock()
		if len(p.seen) < 2000 {
			t.Errorf("only %d bytes were seen on the way", len(p.seen))
		}
		for _, secret := range append(secrets, "Authorization", "POST ") {
			if strings.Contains(string(p.seen), secret) {
				t.Errorf("%q crosses in clear", secret)
			}
		}
		p.mu.Unlock()
	}
	log.without(t, secrets...)
}

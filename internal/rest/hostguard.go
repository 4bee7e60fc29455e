package rest

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/config"
)

// hostGuard makes requests read-only if their Host is not known to be this machine, on listeners without Host check and
// logon: a web page may have had that name resolved to this machine (DNS rebinding).
type hostGuard struct {
	anonymous  bool // users do not log on
	advertised string
	log        *slog.Logger
	hostnames  func() []string

	mu     sync.Mutex
	warned []string // names that were logged; at most maxWarned, since any sender can invent more
}

const maxWarned = 16

// isTrustedHost reports whether no web page can own the name: it is an address, a name without a dot, this machine's
// name, the advertised one, or the name of a Kubernetes Service.
func (g *hostGuard) isTrustedHost(host string) bool {
	name := normalizeHost(host)
	_, err := netip.ParseAddr(name)
	return err == nil || !strings.Contains(name, ".") || isLoopbackName(name) || name == g.advertised ||
		strings.HasSuffix(name, ".svc") || strings.HasSuffix(name, ".svc.cluster.local") ||
		slices.Contains(g.hostnames(), name)
}

// restrict returns the request, read-only if a web page may own its Host, and logs each such Host once.
func (g *hostGuard) restrict(r *http.Request) *http.Request {
	if !g.anonymous || hasClientCertificate(r) || isHealthCheck(r) || g.isTrustedHost(r.Host) {
		return r
	}
	name := normalizeHost(r.Host)
	g.mu.Lock()
	isDue := len(g.warned) < maxWarned && !slices.Contains(g.warned, name)
	if isDue {
		g.warned = append(g.warned, name)
	}
	g.mu.Unlock()
	if isDue {
		g.log.Warn("a REST request has a Host that a web page could have resolved to this worker (DNS rebinding): "+
			"it sees no passwords and changes nothing; to allow it, set rest.allowed.hosts to all names of this "+
			"worker, or rest.basic.auth.file", "host", name, "from", r.RemoteAddr)
	}
	return r.WithContext(context.WithValue(r.Context(), readOnlyKey{},
		"The Host of this request could be that of a web page (DNS rebinding): changes and the log are not allowed "+
			"unless rest.allowed.hosts names it, or rest.basic.auth.file requires a logon"))
}

type readOnlyKey struct{}

// ReadOnlyReason returns why a request may only read because of its Host, "" if it may do more.
func ReadOnlyReason(ctx context.Context) string {
	why, _ := ctx.Value(readOnlyKey{}).(string)
	return why
}

// maskedHeader hides passwords in a forwarded request. It needs no signature, since it only removes rights.
const maskedHeader = "X-Culvert-Masked"

func (req *request) hidesSecrets() bool {
	return req.masked || ReadOnlyReason(req.r.Context()) != "" || req.r.Header.Get(maskedHeader) != ""
}

// visibleConfig returns a configuration as submitted, since tools such as the Terraform provider compare it, or masked.
func (req *request) visibleConfig(settings map[string]string) map[string]string {
	if !req.hidesSecrets() {
		return settings
	}
	if req.passwords == nil {
		req.passwords = req.worker.Passwords()
	}
	return config.MaskPasswords(settings, req.passwords)
}

// hostnames returns the names of this machine, which it keeps for hostnamesTTL.
type hostnames struct {
	hostname  func() (string, error)
	canonical func(ctx context.Context, name string) (string, error)

	mu      sync.Mutex
	cached  []string
	expires time.Time
}

const (
	hostnamesTTL     = time.Minute
	hostnamesTimeout = 2 * time.Second
)

func (h *hostnames) names() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Now().Before(h.expires) {
		return h.cached
	}
	h.cached = nil
	h.expires = time.Now().Add(hostnamesTTL)
	name, err := h.hostname()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), hostnamesTimeout)
	defer cancel()
	canonicalName, _ := h.canonical(ctx, name)
	h.cached = []string{normalizeHost(name), normalizeHost(cmp.Or(canonicalName, name))}
	return h.cached
}

package rest

import (
	"cmp"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/culvert-project/culvert/internal/config"
)

// hostGuard makes requests read-only if their Host is not known to be this machine, on listeners without a Host check
// and without logon: a web page may have had that name resolved to this machine (DNS rebinding).
type hostGuard struct {
	anonymous  bool // nobody has to log on
	advertised string
	log        *slog.Logger
	hostnames  func() []string

	mu sync.Mutex
	// warned lists names that were logged; at most maxWarned, since any sender can invent more.
	warned []string
}

const maxWarned = 16

func newHostGuard(o *Options, open bool, log *slog.Logger) *hostGuard {
	return &hostGuard{anonymous: open, advertised: normalizeHost(o.AdvertisedHost), log: log,
		hostnames: newHostnames().names}
}

// isTrustedHost reports whether no web page can have had a Host resolved to this machine: it is an address, a name
// without a dot, this machine's, the one that it is advertised by, or that of a Service of Kubernetes.
func (o *hostGuard) isTrustedHost(host string) bool {
	name := normalizeHost(host)
	_, err := netip.ParseAddr(name)
	return err == nil || !strings.Contains(name, ".") || isLoopbackName(name) || name == o.advertised ||
		strings.HasSuffix(name, ".svc") || strings.HasSuffix(name, ".svc.cluster.local") ||
		slices.Contains(o.hostnames(), name)
}

// restrict returns the request, marked as read-only if its Host may be that of a web page.
func (o *hostGuard) restrict(r *http.Request) *http.Request {
	if !o.anonymous || hasClientCertificate(r) || isHealthCheck(r) || o.isTrustedHost(r.Host) {
		return r
	}
	name := normalizeHost(r.Host)
	o.mu.Lock()
	first := len(o.warned) < maxWarned && !slices.Contains(o.warned, name)
	if first {
		o.warned = append(o.warned, name)
	}
	o.mu.Unlock()
	if first {
		o.log.Warn("REST is asked by a name that a web page may have led here (DNS rebinding): passwords are not "+
			"shown to it, and it changes nothing (to answer it as others: rest.allowed.hosts with all names of this "+
			"worker, or rest.basic.auth.file)", "host", name, "from", r.RemoteAddr)
	}
	return r.WithContext(context.WithValue(r.Context(), readOnlyKey{}, "REST is asked by a name that a web page may "+
		"have led here: nothing is changed, and no log shown, unless rest.allowed.hosts names it, or "+
		"rest.basic.auth.file has users log on"))
}

// readOnlyKey is the context key of the reason why a request may only read and sees no passwords.
type readOnlyKey struct{}

// ReadOnlyReason says why a request may only read, by its Host; "" where it may do more.
func ReadOnlyReason(ctx context.Context) string {
	why, _ := ctx.Value(readOnlyKey{}).(string)
	return why
}

// maskedHeader hides passwords in a forwarded request as the forwarding worker would: its Host, certificate and
// settings do not tell the target who asked. It needs no signature, since it only removes rights.
const maskedHeader = "X-Culvert-Masked"

// hidesSecrets reports whether this request sees no passwords: by rest.config.masked, by its Host, or because the
// forwarding worker says so.
func (req *request) hidesSecrets() bool {
	return req.masked || ReadOnlyReason(req.r.Context()) != "" || req.r.Header.Get(maskedHeader) != ""
}

// shown returns a configuration as this request sees it: as written, references included, because tools such as the
// Terraform provider compare it; or with passwords masked.
func (req *request) shown(settings map[string]string) map[string]string {
	if !req.hidesSecrets() {
		return settings
	}
	if req.passwords == nil {
		req.passwords = req.worker.Passwords()
	}
	return config.MaskPasswords(settings, req.passwords)
}

type hostnames struct {
	hostname  func() (string, error)
	canonical func(ctx context.Context, name string) (string, error)

	mu      sync.Mutex
	cached  []string
	expires time.Time
}

// hostnamesTTL bounds how long names are cached, hostnamesTimeout how long a lookup may take.
const (
	hostnamesTTL     = time.Minute
	hostnamesTimeout = 2 * time.Second
)

func newHostnames() *hostnames {
	return &hostnames{hostname: os.Hostname, canonical: net.DefaultResolver.LookupCNAME}
}

func (m *hostnames) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Now().Before(m.expires) {
		return m.cached
	}
	m.cached, m.expires = nil, time.Now().Add(hostnamesTTL)
	name, err := m.hostname()
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), hostnamesTimeout)
	defer cancel()
	full, _ := m.canonical(ctx, name)
	m.cached = []string{normalizeHost(name), normalizeHost(cmp.Or(full, name))}
	return m.cached
}

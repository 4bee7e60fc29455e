package security

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/keystore"
)

// Dialer dials for one client. It separates transient failures, which the client retries, from permanent ones, which
// it reports once and returns to every dial for a while.
type Dialer struct {
	access  *Access
	log     *slog.Logger
	ctx     context.Context
	cancel  context.CancelFunc
	outages *Outages

	mu          sync.Mutex
	onDenied    func(error)
	logons      logonState
	proxyOutage proxyOutage
	probe       probeState
	denial      denial
}

// logonState has the failures since the last accepted logon.
type logonState struct {
	accepted     bool      // brokers have accepted the client
	failingSince time.Time // zero while logons succeed
	failures     int       // since then
}

// proxyOutage is an ongoing outage behind the proxy; since is zero while connections succeed.
type proxyOutage struct{ since, lastFailure time.Time }

type probeState struct {
	running bool
	endedAt time.Time
}

// denial is a permanent failure. ctx ends with the next one, and dials in progress with it.
type denial struct {
	current *Denied         // nil means none
	until   time.Time       // the time of the next try
	ctx     context.Context // ctx ends with the next denial, and dials in progress with it.
	end     context.CancelFunc
}

const (
	// Accepted clients are denied after denyAfterTries over denyAfter: secrets and certificates do not change on both
	// sides at once.
	denyAfter      = 5 * time.Second
	denyAfterTries = 3
	// For clients that were never accepted and are cut off during logon.
	denyDisconnectedAfter = 1200 * time.Millisecond
	// denialTime is how long dials fail without a connection.
	denialTime = 10 * time.Second
	// Probes are rate limited.
	probeInterval = time.Second
	probeTimeout  = 6 * time.Second // wantsSASL opens four connections, with up to four round trips each
	// A broker that is silent on TLS may be waiting for the rest of a plaintext request.
	tlsSilence = 2 * time.Second
)

// NewDialer creates the dialer of one client, which closes it through its hooks. outages are those of the cluster, or
// nil.
func NewDialer(access *Access, outages *Outages, log *slog.Logger) *Dialer {
	if access == nil {
		access = &Access{dial: direct, connectTimeout: 10 * time.Second,
			settingName: func(name string) string { return name }}
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if access.live != nil {
		access.live.logTo(log)
	}
	if outages == nil {
		outages = &Outages{}
	}
	g := &Dialer{access: access, log: log, outages: outages}
	g.ctx, g.cancel = context.WithCancel(context.Background())
	g.denial.ctx, g.denial.end = context.WithCancel(g.ctx)
	return g
}

// Opts returns the client's options for its connections.
func (g *Dialer) Opts() []kgo.Opt {
	opts := []kgo.Opt{kgo.Dialer(g.dial), dialerOption{kgo.WithHooks(g), g}}
	if g.access.sasl != nil {
		opts = append(opts, kgo.SASL(g.access.sasl))
	}
	return opts
}

type dialerOption struct {
	kgo.Opt
	dialer *Dialer
}

// DialerOf returns the last dialer in options.
func DialerOf(opts []kgo.Opt) (g *Dialer) {
	for _, o := range opts {
		if found, ok := o.(dialerOption); ok {
			g = found.dialer
		}
	}
	return g
}

// Explain returns the denial that caused an error of the client, else the error.
func (g *Dialer) Explain(err error) error {
	if err != nil {
		if d := g.activeDenial(); d != nil {
			return d
		}
	}
	return err
}

// OnDenied sets a function that is called with the first permanent failure.
func (g *Dialer) OnDenied(f func(error)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.onDenied = f
}

// Outages returns the outages of the client's cluster.
func (g *Dialer) Outages() *Outages { return g.outages }

func (g *Dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := g.activeDenial(); err != nil {
		return nil, err
	}
	timed, cancel := context.WithTimeout(ctx, g.access.connectTimeout)
	defer cancel()
	g.mu.Lock()
	undenied := g.denial.ctx
	g.mu.Unlock()
	defer context.AfterFunc(undenied, cancel)()
	conn, err := g.access.dial(timed, network, address)
	if err != nil {
		return nil, g.handleDialError(ctx, timed, network, address, err)
	}
	g.markReachable()
	if g.access.tls == nil {
		return conn, nil
	}
	secure := g.access.startTLS(conn, address)
	silent := time.AfterFunc(tlsSilence, func() { g.probePlain(address) })
	defer silent.Stop()
	if err := secure.HandshakeContext(timed); err != nil {
		conn.Close()
		return nil, g.handleHandshakeError(ctx, network, address, err)
	}
	return secure, nil
}

func (g *Dialer) probePlain(address string) {
	g.startProbe(address, g.access.speaksPlainKafka,
		"expected TLS, but the broker speaks plain Kafka: set %s to PLAINTEXT or "+
			"SASL_PLAINTEXT, or use its port for TLS", "security.protocol")
}

func (g *Dialer) activeDenial() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.denial.current != nil && time.Now().Before(g.denial.until) {
		return g.denial.current
	}
	return nil
}

func (g *Dialer) markReachable() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.proxyOutage.since = time.Time{}
}

func (g *Dialer) handleDialError(ctx, timed context.Context, network, address string, err error) error {
	if denied := g.activeDenial(); denied != nil {
		return denied
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", err, ctx.Err())
	case isPermanent(err):
		return g.deny(&Denied{Broker: address, Cause: err, text: err.Error()})
	case !g.access.proxied:
		return err
	}
	if g.access.maxProxyOutage > 0 {
		if since := g.proxyOutageSince(); time.Since(since) >= g.access.maxProxyOutage {
			return g.deny(&Denied{Broker: address, Cause: err,
				text: fmt.Sprintf("unreachable through the proxy for %v (%soutage.ms): %v",
					time.Since(since).Round(time.Second),
					proxyPrefix, err)})
		}
	}
	return transientDialError(network, err, timed.Err() != nil)
}

// idleGap is the time after which a failed dial does not continue an outage, since no connection was requested.
const idleGap = time.Minute

// proxyOutageSince is when the present outage began.
func (g *Dialer) proxyOutageSince() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if g.proxyOutage.since.IsZero() || now.Sub(g.proxyOutage.lastFailure) > idleGap {
		g.proxyOutage.since = now
	}
	g.proxyOutage.lastFailure = now
	return g.proxyOutage.since
}

func (g *Dialer) handleHandshakeError(ctx context.Context, network, address string, err error) error {
	if denied := g.activeDenial(); denied != nil {
		return denied
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", err, ctx.Err())
	}
	if keystore.ClassOf(err) != keystore.NoFailure || explainTLS(err, g.access.stores) != "" {
		return g.handleTLSError(network, address, err)
	}
	g.probePlain(address)
	return transientDialError(network, fmt.Errorf("TLS handshake with %s: %w", address, err), false)
}

// explainTLS returns a TLS failure with the setting that fixes it, "" if none does.
func explainTLS(err error, o keystore.Options) string {
	var named *keystore.Error
	if explained := keystore.Explain(err, o); errors.As(explained, &named) {
		return explained.Error()
	}
	return ""
}

func (g *Dialer) handleTLSError(network, address string, err error) error {
	text := explainTLS(err, g.access.stores)
	if text == "" {
		text = err.Error()
	}
	return g.denyIfRepeated(network, &Denied{Broker: address, Cause: err, text: "TLS: " + text}, err)
}

// denyIfRepeated denies clients that were never accepted, others after repeated failures.
func (g *Dialer) denyIfRepeated(network string, denied *Denied, err error) error {
	g.mu.Lock()
	if g.logons.failingSince.IsZero() {
		g.logons.failingSince = time.Now()
	}
	g.logons.failures++
	times := g.logons.failures
	isPermanent := !g.logons.accepted || (times >= denyAfterTries && time.Since(g.logons.failingSince) >= denyAfter)
	g.mu.Unlock()
	if isPermanent {
		return g.deny(denied)
	}
	g.log.Warn("kafka: "+denied.Error(), "times", times)
	return transientDialError(network, err, false)
}

// deny stores a permanent failure, logs a new one, and cancels waiting dials.
func (g *Dialer) deny(denied *Denied) error {
	g.mu.Lock()
	first := g.denial.current == nil || !time.Now().Before(g.denial.until)
	g.denial.current = denied
	g.denial.until = time.Now().Add(denialTime)
	g.denial.end()
	g.denial.ctx, g.denial.end = context.WithCancel(g.ctx)
	watch := g.onDenied
	g.onDenied = nil
	g.mu.Unlock()
	if first {
		g.log.Error("kafka: " + denied.Error())
	}
	if watch != nil {
		watch(denied)
	}
	return denied
}

// OnBrokerConnect is called by the client after the requests for API versions and SASL.
func (g *Dialer) OnBrokerConnect(broker kgo.BrokerMetadata, elapsed time.Duration, conn net.Conn, err error) {
	if err == nil {
		g.outages.recordConnect(broker)
		return
	}
	if errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled) || g.ctx.Err() != nil {
		return
	}
	if denied := (*Denied)(nil); !errors.As(err, &denied) && (IsTransient(err) || isDisconnect(err)) {
		g.outages.recordFailure(g.log, broker, elapsed, err)
	}
	if conn == nil {
		return // a failed dial was handled already
	}
	address := addressOf(broker)
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		g.handleLogonError(address, err, "it rejects the user and password, or token, of %s: "+err.Error(),
			"sasl.jaas.config")
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		g.handleLogonError(address, err, "it does not offer the mechanism of %s"+g.offeredMechanisms(address),
			"sasl.mechanism")
	case errors.Is(err, kerr.IllegalSaslState):
		g.handleLogonError(address, err, "it accepts no SASL on this port: set %s to PLAINTEXT or SSL, "+
			"or use its port for SASL", "security.protocol")
	case isPermanent(err):
		g.handleLogonError(address, err, "logon by %s: "+err.Error(), "sasl.mechanism")
	case g.access.tls != nil && keystore.ClassOf(err) != keystore.NoFailure:
		g.handleTLSError("tcp", address, err)
	case isDisconnect(err):
		g.handleDisconnect(address, err)
	case g.access.tls == nil && (g.access.sasl == nil || strings.Contains(err.Error(), "tls alert")):
		// the response was not Kafka's protocol
		g.probeTLS(address)
	case g.access.sasl != nil && !kgo.IsRetryableBrokerErr(err) && !isNetworkError(err) && !kerr.IsRetriable(err):
		// such as a wrong signature of SCRAM
		g.handleLogonError(address, err, "logon by %s: "+err.Error(), "sasl.mechanism")
	}
}

// handleDisconnect handles connections that the broker closes early: it is stopping, its listener has another
// security.protocol, or it rejects a password silently.
func (g *Dialer) handleDisconnect(address string, err error) {
	var versions *kgo.ErrFirstReadEOF
	if g.access.tls == nil {
		g.probeTLS(address)
	}
	if g.access.sasl != nil && !errors.As(err, &versions) {
		g.handleLogonDisconnect(address, err)
	}
}

func (g *Dialer) probeTLS(address string) {
	g.startProbe(address, g.access.speaksTLS,
		"expected Kafka without TLS, but the broker speaks TLS: set %s to SSL or SASL_SSL, or "+
			"use its port for plain text", "security.protocol")
}

func (g *Dialer) handleLogonError(address string, err error, format, property string) {
	if r, ok := g.access.sasl.(interface{ LogonRejected() }); ok {
		r.LogonRejected()
	}
	g.denyIfRepeated("tcp", &Denied{Broker: address, Cause: err,
		text: fmt.Sprintf(format, g.access.settingName(property))},
		err)
}

// handleLogonDisconnect denies a client that is repeatedly cut off during logon; a stopping broker does not repeat it.
func (g *Dialer) handleLogonDisconnect(address string, err error) {
	g.mu.Lock()
	if g.logons.failingSince.IsZero() {
		g.logons.failingSince = time.Now()
	}
	g.logons.failures++
	isPermanent := !g.logons.accepted && g.logons.failures >= denyAfterTries &&
		time.Since(g.logons.failingSince) >= denyDisconnectedAfter
	g.mu.Unlock()
	if isPermanent {
		g.deny(&Denied{Broker: address, Cause: err,
			text: fmt.Sprintf("it closes the connection during logon: the user and password, or token, of %s may be "+
				"wrong, or %s may be another one",
				g.access.settingName("sasl.jaas.config"), g.access.settingName("sasl.mechanism"))})
	}
}

// startProbe asks a broker in the background for another protocol and calls denyIfRepeated if it has it. One probe runs
// at a time.
func (g *Dialer) startProbe(address string, hasOther func(context.Context, string) bool, format, property string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.probe.running || time.Since(g.probe.endedAt) < probeInterval || g.ctx.Err() != nil {
		return
	}
	g.probe.running = true
	go func() {
		defer guard.Recover(nil, "the probe of a broker that does not respond", nil)
		ctx, cancel := context.WithTimeout(g.ctx, probeTimeout)
		defer cancel()
		confirmed := hasOther(ctx, address)
		g.mu.Lock()
		g.probe.running = false
		g.probe.endedAt = time.Now()
		g.mu.Unlock()
		if confirmed {
			d := &Denied{Broker: address, text: fmt.Sprintf(format, g.access.settingName(property))}
			g.denyIfRepeated("tcp", d, d)
		}
	}()
}

func (g *Dialer) offeredMechanisms(address string) string {
	ctx, cancel := context.WithTimeout(g.ctx, probeTimeout)
	defer cancel()
	if _, names := g.access.mechanisms(ctx, address); len(names) > 0 {
		return ", only " + strings.Join(names, ", ")
	}
	return ""
}

// Keys of requests before anything else.
const (
	keySASLHandshake    = 17
	keyAPIVersions      = 18
	keySASLAuthenticate = 36
)

// OnBrokerRead is called by the client with every response: the first one after the handshakes means that the logon
// was accepted.
func (g *Dialer) OnBrokerRead(broker kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	switch {
	case key == keySASLHandshake || key == keyAPIVersions || key == keySASLAuthenticate:
	case err == nil:
		g.mu.Lock()
		// One broker that is away does not block the others.
		g.logons = logonState{accepted: true}
		g.proxyOutage.since = time.Time{}
		g.denial.current = nil
		g.mu.Unlock()
		g.outages.recordResponse(g.log, broker)
	case g.access.sasl == nil && isDisconnect(err):
		g.startProbe(addressOf(broker), g.access.requiresSASL,
			"expected no SASL, but the broker requires it: set %s to SASL_SSL (or "+
				"SASL_PLAINTEXT), sasl.mechanism and sasl.jaas.config", "security.protocol")
	}
}

// OnClientClosed cancels the dialer.
func (g *Dialer) OnClientClosed(*kgo.Client) { g.cancel() }

// Dial connects to a broker without SASL and logs nothing; log is for key stores and proxies.
func (a *Access) Dial(ctx context.Context, log *slog.Logger, network, address string) (net.Conn, error) {
	g := NewDialer(a, nil, log)
	defer g.cancel()
	g.log = slog.New(slog.DiscardHandler)
	return g.dial(ctx, network, address)
}

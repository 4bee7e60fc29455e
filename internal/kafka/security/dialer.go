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

// Dialer dials for one client. The client retries transient failures; permanent ones are returned to all dials.
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

// logonState counts the failures since the last accepted logon.
type logonState struct {
	wasAccepted  bool      // brokers have accepted the client
	failingSince time.Time // zero while logons succeed
	failures     int       // since failingSince
}

// proxyOutage is an ongoing outage behind the proxy; since is zero while connections succeed.
type proxyOutage struct{ since, lastFailure time.Time }

type probeState struct {
	isRunning bool
	endedAt   time.Time
}

// denial is the last permanent failure, which all dials return until it expires.
type denial struct {
	current *Denied         // nil means no denial
	until   time.Time       // the time of the next try
	ctx     context.Context // ctx ends with the next denial, and dials in progress with it.
	end     context.CancelFunc
}

const (
	// Accepted clients are denied after denyAfterTries over denyAfter: secrets and certificates do not change on both
	// sides at once.
	denyAfter      = 5 * time.Second
	denyAfterTries = 3
	// denyDisconnectedAfter is denyAfter for clients that were never accepted and are cut off during logon.
	denyDisconnectedAfter = 1200 * time.Millisecond
	// denialTime is how long dials fail without a connection.
	denialTime = 10 * time.Second
	// Probes are rate limited.
	probeInterval = time.Second
	probeTimeout  = 6 * time.Second // wantsSASL opens four connections, with up to four round trips each
	// A broker that is silent on TLS may be waiting for the rest of a plaintext request.
	tlsSilence = 2 * time.Second
)

// NewDialer creates the dialer of one client, which closes it through its hooks. outages may be nil.
func NewDialer(access *Access, outages *Outages, log *slog.Logger) *Dialer {
	if access == nil {
		access = &Access{
			dial:           dialDirect,
			connectTimeout: 10 * time.Second,
			settingName:    func(name string) string { return name },
		}
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
	d := &Dialer{access: access, log: log, outages: outages}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.denial.ctx, d.denial.end = context.WithCancel(d.ctx)
	return d
}

// Opts returns the client's options for its connections.
func (d *Dialer) Opts() []kgo.Opt {
	opts := []kgo.Opt{kgo.Dialer(d.dial), dialerOption{Opt: kgo.WithHooks(d), dialer: d}}
	if d.access.sasl != nil {
		opts = append(opts, kgo.SASL(d.access.sasl))
	}
	return opts
}

// dialerOption is an option by which [DialerOf] finds the dialer.
type dialerOption struct {
	kgo.Opt
	dialer *Dialer
}

// DialerOf returns the last dialer in options, nil for no dialer.
func DialerOf(opts []kgo.Opt) (d *Dialer) {
	for _, o := range opts {
		if option, ok := o.(dialerOption); ok {
			d = option.dialer
		}
	}
	return d
}

// Explain returns the denial that caused an error of the client, else the error.
func (d *Dialer) Explain(err error) error {
	if err != nil {
		if denied := d.activeDenial(); denied != nil {
			return denied
		}
	}
	return err
}

// OnDenied sets a function that is called once, with the next permanent failure.
func (d *Dialer) OnDenied(notify func(error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.onDenied = notify
}

// Outages returns the outages of the client's cluster.
func (d *Dialer) Outages() *Outages { return d.outages }

// dial connects to a broker, with TLS if configured. It fails at once during a denial.
func (d *Dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if err := d.activeDenial(); err != nil {
		return nil, err
	}
	timedCtx, cancel := context.WithTimeout(ctx, d.access.connectTimeout)
	defer cancel()
	d.mu.Lock()
	denialCtx := d.denial.ctx
	d.mu.Unlock()
	defer context.AfterFunc(denialCtx, cancel)() // a denial by another dial ends this one
	conn, err := d.access.dial(timedCtx, network, address)
	if err != nil {
		if denied := d.activeDenial(); denied != nil {
			return nil, denied
		}
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("%w: %w", err, ctx.Err())
		case isPermanent(err):
			return nil, d.deny(&Denied{Broker: address, Cause: err, text: err.Error()})
		case !d.access.isProxied:
			return nil, err
		}
		if d.access.maxProxyOutage > 0 {
			if since := d.proxyOutageSince(); time.Since(since) >= d.access.maxProxyOutage {
				return nil, d.deny(&Denied{Broker: address, Cause: err,
					text: fmt.Sprintf("unreachable through the proxy for %v (%soutage.ms): %v",
						time.Since(since).Round(time.Second), proxyPrefix, err)})
			}
		}
		// The client would not retry an error of the proxy.
		return nil, transientDialError(network, err, timedCtx.Err() != nil)
	}
	d.mu.Lock()
	d.proxyOutage.since = time.Time{}
	d.mu.Unlock()
	if d.access.tls == nil {
		return conn, nil
	}
	// TLS. A broker that does not answer, or ends the connection, may expect plain text.
	tlsConn := d.access.startTLS(conn, address)
	silenceTimer := time.AfterFunc(tlsSilence, func() { d.probePlain(address) })
	defer silenceTimer.Stop()
	if err := tlsConn.HandshakeContext(timedCtx); err != nil {
		conn.Close()
		if denied := d.activeDenial(); denied != nil {
			return nil, denied
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%w: %w", err, ctx.Err())
		}
		if keystore.ClassOf(err) != keystore.NoFailure || explainTLS(err, d.access.stores) != "" {
			return nil, d.handleTLSError(network, address, err)
		}
		d.probePlain(address)
		return nil, transientDialError(network, fmt.Errorf("TLS handshake with %s: %w", address, err), false)
	}
	return tlsConn, nil
}

func (d *Dialer) probePlain(address string) {
	d.startProbe(address, d.access.speaksPlainKafka,
		"expected TLS, but the broker speaks plain Kafka: set %s to PLAINTEXT or "+
			"SASL_PLAINTEXT, or use its port for TLS", "security.protocol")
}

func (d *Dialer) activeDenial() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.denial.current != nil && time.Now().Before(d.denial.until) {
		return d.denial.current
	}
	return nil
}

// idleGap is the time after which a failed dial begins a new outage: no connection was requested in between.
const idleGap = time.Minute

// proxyOutageSince records a failed dial through the proxy and returns when the outage began.
func (d *Dialer) proxyOutageSince() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.proxyOutage.since.IsZero() || now.Sub(d.proxyOutage.lastFailure) > idleGap {
		d.proxyOutage.since = now
	}
	d.proxyOutage.lastFailure = now
	return d.proxyOutage.since
}

// explainTLS returns a TLS failure with the setting that fixes it, "" if no setting does.
func explainTLS(err error, o keystore.Options) string {
	explanation := keystore.Explain(err, o)
	if errors.As(explanation, new(*keystore.Error)) {
		return explanation.Error()
	}
	return ""
}

func (d *Dialer) handleTLSError(network, address string, err error) error {
	explanation := explainTLS(err, d.access.stores)
	if explanation == "" {
		explanation = err.Error()
	}
	return d.denyIfRepeated(network, &Denied{Broker: address, Cause: err, text: "TLS: " + explanation}, err)
}

// denyIfRepeated counts a failure. It denies clients that were never accepted at once, others when it is repeated.
func (d *Dialer) denyIfRepeated(network string, denied *Denied, err error) error {
	d.mu.Lock()
	if d.logons.failingSince.IsZero() {
		d.logons.failingSince = time.Now()
	}
	d.logons.failures++
	times := d.logons.failures
	mustDeny := !d.logons.wasAccepted || (times >= denyAfterTries && time.Since(d.logons.failingSince) >= denyAfter)
	d.mu.Unlock()
	if mustDeny {
		return d.deny(denied)
	}
	d.log.Warn("kafka: "+denied.Error(), "times", times)
	return transientDialError(network, err, false)
}

// deny stores a permanent failure, logs a new one, cancels waiting dials, and calls the function of OnDenied.
func (d *Dialer) deny(denied *Denied) error {
	d.mu.Lock()
	isNew := d.denial.current == nil || !time.Now().Before(d.denial.until)
	d.denial.current = denied
	d.denial.until = time.Now().Add(denialTime)
	d.denial.end()
	d.denial.ctx, d.denial.end = context.WithCancel(d.ctx)
	notify := d.onDenied
	d.onDenied = nil
	d.mu.Unlock()
	if isNew {
		d.log.Error("kafka: " + denied.Error())
	}
	if notify != nil {
		notify(denied)
	}
	return denied
}

// OnBrokerConnect is called by the client after the requests for API versions and SASL.
func (d *Dialer) OnBrokerConnect(broker kgo.BrokerMetadata, elapsed time.Duration, conn net.Conn, err error) {
	if err == nil {
		d.outages.recordConnect(broker)
		return
	}
	if errors.Is(err, kgo.ErrClientClosed) || errors.Is(err, context.Canceled) || d.ctx.Err() != nil {
		return
	}
	if !errors.As(err, new(*Denied)) && (IsTransient(err) || isDisconnect(err)) {
		d.outages.recordFailure(d.log, broker, elapsed, err)
	}
	if conn == nil {
		return // a failed dial was handled already
	}
	address := addressOf(broker)
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		d.handleLogonError(address, err, "it rejects the user and password, or token, of %s: "+err.Error(),
			"sasl.jaas.config")
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		format := "it does not offer the mechanism of %s"
		ctx, cancel := context.WithTimeout(d.ctx, probeTimeout)
		if _, names := d.access.mechanisms(ctx, address); len(names) > 0 {
			format += ", only " + strings.Join(names, ", ")
		}
		cancel()
		d.handleLogonError(address, err, format, "sasl.mechanism")
	case errors.Is(err, kerr.IllegalSaslState):
		d.handleLogonError(address, err, "it accepts no SASL on this port: set %s to PLAINTEXT or SSL, "+
			"or use its port for SASL", "security.protocol")
	case isPermanent(err):
		d.handleLogonError(address, err, "logon by %s: "+err.Error(), "sasl.mechanism")
	case d.access.tls != nil && keystore.ClassOf(err) != keystore.NoFailure:
		d.handleTLSError("tcp", address, err)
	case isDisconnect(err):
		// A connection ends early if the broker stops, speaks another protocol, or silently rejects the logon.
		if d.access.tls == nil {
			d.probeTLS(address)
		}
		// ErrFirstReadEOF means that the request for API versions got no response: the logon had not begun.
		if d.access.sasl != nil && !errors.As(err, new(*kgo.ErrFirstReadEOF)) {
			// A client that is repeatedly cut off during logon is denied; a stopping broker does not repeat it.
			d.mu.Lock()
			if d.logons.failingSince.IsZero() {
				d.logons.failingSince = time.Now()
			}
			d.logons.failures++
			mustDeny := !d.logons.wasAccepted && d.logons.failures >= denyAfterTries &&
				time.Since(d.logons.failingSince) >= denyDisconnectedAfter
			d.mu.Unlock()
			if mustDeny {
				d.deny(&Denied{Broker: address, Cause: err,
					text: fmt.Sprintf("it closes the connection during logon: the user and password, or token, of %s "+
						"may be wrong, or %s may be another one", d.access.settingName("sasl.jaas.config"),
						d.access.settingName("sasl.mechanism"))})
			}
		}
	case d.access.tls == nil && (d.access.sasl == nil || strings.Contains(err.Error(), "tls alert")):
		// the response was not Kafka's protocol
		d.probeTLS(address)
	case d.access.sasl != nil && !kgo.IsRetryableBrokerErr(err) && !isNetworkError(err) && !kerr.IsRetriable(err):
		// such as a wrong signature of SCRAM
		d.handleLogonError(address, err, "logon by %s: "+err.Error(), "sasl.mechanism")
	}
}

func (d *Dialer) probeTLS(address string) {
	d.startProbe(address, d.access.speaksTLS,
		"expected Kafka without TLS, but the broker speaks TLS: set %s to SSL or SASL_SSL, or "+
			"use its port for plain text", "security.protocol")
}

func (d *Dialer) handleLogonError(address string, err error, format, property string) {
	if r, ok := d.access.sasl.(interface{ LogonRejected() }); ok {
		r.LogonRejected()
	}
	d.denyIfRepeated("tcp",
		&Denied{Broker: address, Cause: err, text: fmt.Sprintf(format, d.access.settingName(property))}, err)
}

// startProbe tests in the background for another protocol, to deny the client, unless a probe runs or just ran.
func (d *Dialer) startProbe(address string, hasOther func(context.Context, string) bool, format, property string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.probe.isRunning || time.Since(d.probe.endedAt) < probeInterval || d.ctx.Err() != nil {
		return
	}
	d.probe.isRunning = true
	go func() {
		defer guard.Recover(nil, "the probe of a broker that does not respond", nil)
		ctx, cancel := context.WithTimeout(d.ctx, probeTimeout)
		defer cancel()
		hasProtocol := hasOther(ctx, address)
		d.mu.Lock()
		d.probe.isRunning = false
		d.probe.endedAt = time.Now()
		d.mu.Unlock()
		if hasProtocol {
			denied := &Denied{Broker: address, text: fmt.Sprintf(format, d.access.settingName(property))}
			d.denyIfRepeated("tcp", denied, denied)
		}
	}()
}

// Keys of the requests that precede all others on a connection.
const (
	keySASLHandshake    = 17
	keyAPIVersions      = 18
	keySASLAuthenticate = 36
)

// OnBrokerRead is called with every response: the first one after the handshakes means that the logon was accepted.
func (d *Dialer) OnBrokerRead(broker kgo.BrokerMetadata, key int16, _ int, _, _ time.Duration, err error) {
	switch {
	case key == keySASLHandshake || key == keyAPIVersions || key == keySASLAuthenticate:
		// part of the logon, which is not accepted yet
	case err == nil:
		d.mu.Lock()
		// The response of one broker shows that access is not denied, even if another broker is unreachable.
		d.logons = logonState{wasAccepted: true}
		d.proxyOutage.since = time.Time{}
		d.denial.current = nil
		d.mu.Unlock()
		d.outages.recordResponse(d.log, broker)
	case d.access.sasl == nil && isDisconnect(err):
		d.startProbe(addressOf(broker), d.access.requiresSASL,
			"expected no SASL, but the broker requires it: set %s to SASL_SSL (or "+
				"SASL_PLAINTEXT), sasl.mechanism and sasl.jaas.config", "security.protocol")
	}
}

// OnClientClosed cancels the dialer.
func (d *Dialer) OnClientClosed(*kgo.Client) { d.cancel() }

// Dial connects to a broker without SASL and logs nothing; log is for key stores and proxies.
func (a *Access) Dial(ctx context.Context, log *slog.Logger, network, address string) (net.Conn, error) {
	d := NewDialer(a, nil, log)
	defer d.cancel()
	d.log = slog.New(slog.DiscardHandler)
	return d.dial(ctx, network, address)
}

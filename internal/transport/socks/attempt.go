package socks

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"time"
)

// attempt is one try to open a tunnel: it gets a token, connects to the proxy, and passes the SOCKS5 handshake with
// SAP's authentication method, which sends the token and a location id. Each step is reported to Dialer.Trace.
type attempt struct {
	*dialCall
	location string
	step     Step // the current one
	began    time.Time
}

// Bytes of the protocol: SOCKS5 (RFC 1928), SAP's authentication method for a JWT, and its version.
const (
	version5     = 0x05
	methodJWT    = 0x80
	versionOfJWT = 0x01

	commandConnect = 0x01
	addressIPv4    = 0x01
	addressName    = 0x03 // with its length in a byte before it
	addressIPv6    = 0x04
)

// tokenError is an error of [Dialer.Token], which may be temporary, unlike the error for an invalid token.
type tokenError struct{ error }

func (t *tokenError) Unwrap() error { return t.error }

// try makes one attempt at a location. Dialer.Attempt bounds it without the token, because Token has its own limits.
func (d *dialCall) try(ctx context.Context, location string) (net.Conn, error) {
	limit := d.Attempt
	if limit == 0 {
		limit = 30 * time.Second
	}
	a := &attempt{dialCall: d, location: location}
	token, err := a.token(ctx)
	if err != nil {
		return nil, a.endStep(err)
	}
	timedCtx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := a.open(timedCtx, token)
	if err != nil && timedCtx.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("expected an answer within %v: %w", limit, err)
	}
	return conn, a.endStep(err)
}

func (a *attempt) beginStep(step Step) {
	a.endStep(nil)
	a.step = step
	a.began = time.Now()
}

// endStep reports the step to Trace. It adds the step to an error, unless its type has the step already.
func (a *attempt) endStep(err error) error {
	if a.step != "" && a.Trace != nil {
		a.Trace(Event{Step: a.step, Target: a.address, Location: a.location, Elapsed: time.Since(a.began), Err: err})
	}
	switch err.(type) {
	case nil, *Refused, *Unexpected, *Unusable:
		return err
	}
	if a.step == StepToken {
		return fmt.Errorf("token for the Connectivity proxy: %w", err)
	}
	return fmt.Errorf("Connectivity proxy %s, %s: %w", a.Address, a.step, err)
}

// token requests a token other than the refused one.
func (a *attempt) token(ctx context.Context) (string, error) {
	a.beginStep(StepToken)
	token, err := a.Token(ctx, a.refusedToken)
	if err != nil {
		return "", &tokenError{err}
	}
	// A token that cannot be a JWT is rejected. The error does not contain it.
	if token == "" {
		return "", &Unusable{What: "token for the Connectivity proxy", Expected: "a JWT", Found: "an empty string"}
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return "", &Unusable{What: "token for the Connectivity proxy",
				Expected: "a JWT: letters, digits, '-', '_' and '.'",
				Found:    fmt.Sprintf("byte %02x at %d of %d", token[i], i, len(token))}
		}
	}
	return token, nil
}

// open connects to the proxy and passes the handshake.
func (a *attempt) open(ctx context.Context, token string) (net.Conn, error) {
	a.beginStep(StepProxy)
	forward := a.Forward
	if forward == nil {
		forward = Direct()
	}
	conn, err := forward.DialContext(ctx, "tcp", a.Address)
	if err != nil {
		return nil, err
	}
	// A deadline in the past makes reads and writes fail at once.
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err = a.handshake(conn, token)
	if !stop() {
		// ctx ended, maybe after the last byte: the connection's deadline is set and it cannot be used.
		if err == nil {
			err = contextCause(ctx)
		} else {
			err = fmt.Errorf("%w: %w", contextCause(ctx), err)
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// handshake passes the three steps. It sets refusedToken if the token may be rejected: then another one is requested.
func (a *attempt) handshake(conn net.Conn, token string) error {
	a.beginStep(StepGreeting)
	if _, err := conn.Write([]byte{version5, 1, methodJWT}); err != nil { // one method
		return err
	}
	method, err := a.readStatus(conn, version5)
	if err == nil && method != methodJWT {
		err = a.refusedError(method)
	}
	if err != nil {
		return err
	}
	if err := a.authenticate(conn, token); err != nil {
		return err
	}
	return a.connect(conn, token)
}

// authenticate sends the token and the location id.
func (a *attempt) authenticate(conn net.Conn, token string) error {
	a.beginStep(StepAuthentication)
	// Method 0x80 has the token as it is, and the location id in padded base64.
	encoded := base64.StdEncoding.EncodeToString([]byte(a.location))
	message := make([]byte, 0, 6+len(token)+len(encoded))
	message = append(message, versionOfJWT)
	message = binary.BigEndian.AppendUint32(message, uint32(len(token)))
	message = append(message, token...)
	message = append(message, byte(len(encoded)))
	if _, err := conn.Write(append(message, encoded...)); err != nil {
		return err
	}
	status, err := a.readStatus(conn, versionOfJWT)
	if err == nil && status != 0 {
		a.refusedToken = token
		err = a.refusedError(status)
	}
	return err
}

// connect requests the tunnel. ConnectionRefused is about the token: SAP's proxy replies so if the token was issued for
// another binding or subaccount. Any other reply means that it accepted the token.
func (a *attempt) connect(conn net.Conn, token string) error {
	a.beginStep(StepConnect)
	if _, err := conn.Write(a.request); err != nil {
		return err
	}
	reply, err := a.readConnectReply(conn)
	if err != nil {
		return err
	}
	a.refusedToken = ""
	if reply == ConnectionRefused {
		a.refusedToken = token
	}
	if reply != Success {
		return a.refusedError(reply)
	}
	return nil
}

func (a *attempt) refusedError(code byte) error {
	return &Refused{Proxy: a.Address, Target: a.address, Location: a.location, Step: a.step, Code: code}
}

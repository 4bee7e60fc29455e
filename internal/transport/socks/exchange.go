package socks

import (
	"context"
	"fmt"
	"net"
	"time"
)

// attempt is one connection to the proxy with its steps.
type attempt struct {
	*dialCall
	location string
	step     Step
	began    time.Time
}

// tokenError is an error of [Dialer.Token].
type tokenError struct{ error }

func (t *tokenError) Unwrap() error { return t.error }

func (d *dialCall) attempt(ctx context.Context, location string) (net.Conn, error) {
	limit := d.Attempt
	if limit == 0 {
		limit = 30 * time.Second
	}
	a := &attempt{dialCall: d, location: location}
	token, err := a.token(ctx) // has its own timeouts
	if err != nil {
		return nil, a.endStep(err)
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := a.open(timed, token)
	if err != nil && timed.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("expected an answer within %v: %w", limit, err)
	}
	return conn, a.endStep(err)
}

func (a *attempt) beginStep(step Step) {
	a.endStep(nil)
	a.step, a.began = step, time.Now()
}

// endStep reports the step to Trace and adds its name to the error.
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

func (a *attempt) token(ctx context.Context) (string, error) {
	a.beginStep(StepToken)
	token, err := a.Token(ctx, a.refused)
	if err != nil {
		return "", &tokenError{err}
	}
	return token, checkToken(token)
}

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
	if err := a.handshakeUntilDone(ctx, conn, token); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (a *attempt) handshakeUntilDone(ctx context.Context, conn net.Conn, token string) error {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err := a.handshake(conn, token)
	if !stop() {
		// ctx ended, maybe after the last byte: the connection's deadline is set and it cannot be used.
		if err == nil {
			return contextCause(ctx)
		}
		return fmt.Errorf("%w: %w", contextCause(ctx), err)
	}
	return err
}

func (a *attempt) handshake(conn net.Conn, token string) error {
	a.beginStep(StepGreeting)
	if _, err := conn.Write([]byte{0x05, 0x01, 0x80}); err != nil {
		return err
	}
	method, err := a.readStatus(conn, 0x05)
	if err != nil {
		return err
	}
	if method != 0x80 {
		return a.refusedError(method)
	}
	a.beginStep(StepAuthentication)
	if _, err := conn.Write(logonRequest(token, a.location)); err != nil {
		return err
	}
	status, err := a.readStatus(conn, 0x01)
	if err != nil {
		return err
	}
	if status != 0 {
		a.dialCall.refused = token
		return a.refusedError(status)
	}
	a.beginStep(StepConnect)
	if _, err := conn.Write(a.request); err != nil {
		return err
	}
	reply, err := a.readConnectReply(conn)
	if err != nil {
		return err
	}
	if reply == ConnectionRefused {
		a.dialCall.refused = token
	} else {
		a.dialCall.refused = "" // the token was accepted
	}
	if reply != Success {
		return a.refusedError(reply)
	}
	return nil
}

func (a *attempt) refusedError(code byte) error {
	return &Refused{Proxy: a.Address, Target: a.address, Location: a.location, Step: a.step, Code: code}
}

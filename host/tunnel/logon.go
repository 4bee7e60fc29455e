package tunnel

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// logOn authenticates the broker's connection, before requests are passed, and sees to it that the logon is renewed for as long
// as the connection lives.
func (r *relay) logOn(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { r.broker.SetDeadline(time.Now()) })
	life, err := r.authenticate(ctx)
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("logging on to %s with SASL %s: %w", r.address, r.tunnel.options.SASL.Name(), err)
	}
	r.running = r.client != nil
	if life > 0 && r.running {
		r.tunnel.group.Go(func() { r.renew(life) })
	}
	return nil
}

// renew logs on again before the broker ends the session, which it would by closing the connection (KIP-368).
func (r *relay) renew(life time.Duration) {
	for life > 0 {
		select {
		case <-r.ended:
			return
		case <-r.tunnel.ctx.Done():
			return
		case <-time.After(life * 9 / 10):
		}
		next, err := r.renewOnce(r.tunnel.ctx)
		if err != nil {
			if unlessClosed(err) != nil {
				r.tunnel.refuse(r.address, fmt.Errorf("logging on again: %w", err))
			}
			r.broker.Close()
			return
		}
		life = next
	}
}

func (r *relay) renewOnce(ctx context.Context) (time.Duration, error) {
	// No request may come between the messages of a logon.
	r.writing.Lock()
	defer r.writing.Unlock()
	return r.authenticate(ctx)
}

// authenticate exchanges the messages of the mechanism. The life of the session is 0 where it has no end.
func (r *relay) authenticate(ctx context.Context) (life time.Duration, err error) {
	mechanism := r.tunnel.options.SASL
	handshake := kmsg.NewPtrSASLHandshakeRequest()
	handshake.Version, handshake.Mechanism = 1, mechanism.Name()
	body, err := r.own(handshake)
	if err != nil {
		return 0, err
	}
	shaken := kmsg.NewPtrSASLHandshakeResponse()
	shaken.Version = 1
	if err := shaken.ReadFrom(body); err != nil {
		return 0, err
	}
	if err := kerr.ErrorForCode(shaken.ErrorCode); err != nil {
		return 0, fmt.Errorf("%w; the broker offers %q (sasl.mechanism)", err, shaken.SupportedMechanisms)
	}
	host, _, _ := net.SplitHostPort(r.address)
	session, message, err := mechanism.Authenticate(ctx, host)
	if err != nil {
		return 0, err
	}
	for done := false; ; {
		if done && len(message) == 0 {
			return life, nil
		}
		// Version 1, of brokers from 2.2 on, is the first that tells how long the session lasts.
		request := kmsg.NewPtrSASLAuthenticateRequest()
		request.Version, request.SASLAuthBytes = 1, message
		if body, err = r.own(request); err != nil {
			return 0, err
		}
		answer := kmsg.NewPtrSASLAuthenticateResponse()
		answer.Version = 1
		if err := answer.ReadFrom(body); err != nil {
			return 0, err
		}
		if err := kerr.ErrorForCode(answer.ErrorCode); err != nil {
			if answer.ErrorMessage != nil {
				err = fmt.Errorf("%w: %s", err, *answer.ErrorMessage)
			}
			return 0, err
		}
		life = time.Duration(answer.SessionLifetimeMillis) * time.Millisecond
		if done {
			return life, nil
		}
		if done, message, err = session.Challenge(answer.SASLAuthBytes); err != nil {
			return 0, err
		}
	}
}

// own sends a request of ours and returns the body of its answer; both have plain headers, as all versions used here do.
func (r *relay) own(request kmsg.Request) ([]byte, error) {
	r.next++
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("culvert-tunnel")).AppendRequest(nil, request, r.next)
	var answer chan []byte
	if r.running {
		answer = make(chan []byte, 1)
		r.expect(asked{key: request.Key(), version: request.GetVersion(), correlation: r.next, own: answer})
	}
	if _, err := r.broker.Write(frame); err != nil {
		return nil, err
	}
	if answer != nil {
		select {
		case body := <-answer:
			return body, nil
		case <-r.ended:
			return nil, net.ErrClosed
		}
	}
	size, correlation, err := peekAnswer(r.answers)
	if err != nil {
		return nil, fmt.Errorf("%w instead of answering %s (security.protocol and sasl.* say how it wants to be spoken to): %v",
			errHungUp, kmsg.NameForKey(request.Key()), err)
	}
	if correlation != r.next || size > 1<<20 {
		return nil, fmt.Errorf("an answer to %s: expected correlation %d and at most 1 MiB, found %d and %d bytes",
			kmsg.NameForKey(request.Key()), r.next, correlation, size)
	}
	body := make([]byte, size+4)
	if _, err := io.ReadFull(r.answers, body); err != nil {
		return nil, err
	}
	return body[8:], nil
}

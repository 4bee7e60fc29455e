package tunnel

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/culvert-project/culvert/internal/guard"
	"github.com/culvert-project/culvert/internal/kafka/security"
)

// logOn authenticates before requests are relayed, and starts to renew the logon before the session expires.
func (r *relay) logOn(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { r.broker.SetDeadline(time.Now()) })
	lifetime, err := r.authenticate(ctx, r.broker.RoundTrip)
	if !stop() { // ctx has ended, maybe after the last response: the deadline is set
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("logging on to %s with SASL %s: %w", r.address, r.tunnel.options.SASL.Name(), err)
	}
	if lifetime > 0 { // else the session has no limit
		r.tunnel.goroutines.Go(func() {
			defer guard.Recover(r.tunnel.log, "tunnel, renewal of a logon", nil,
				func(*guard.PanicError) { r.broker.Close() })
			r.renew(lifetime)
		})
	}
	return nil
}

func (r *relay) authenticate(ctx context.Context,
	roundTrip func(kmsg.Request) ([]byte, error)) (lifetime time.Duration, err error) {
	host, _, _ := net.SplitHostPort(r.address)
	return security.Authenticate(ctx, host, r.tunnel.options.SASL, roundTrip)
}

// renew logs on again before the broker closes an expired session (KIP-368).
func (r *relay) renew(lifetime time.Duration) {
	for lifetime > 0 {
		select {
		case <-r.responsesEnded:
			return
		case <-r.tunnel.ctx.Done():
			return
		case <-time.After(lifetime * 9 / 10): // leaves time for the logon
		}
		next, err := r.renewOnce()
		if err != nil {
			if ignoreClosed(err) != nil {
				r.tunnel.logRefusal(r.address, fmt.Errorf("logging on again: %w", err))
			}
			r.broker.Close()
			return
		}
		lifetime = next
	}
}

// renewOnce logs on while no other request is sent, because brokers reject other requests during a logon. A broker that
// does not answer in time loses the connection, which ends the wait of all.
func (r *relay) renewOnce() (lifetime time.Duration, err error) {
	r.writeLock.Lock()
	defer r.writeLock.Unlock()
	timeout := r.tunnel.options.DialTimeout
	limit := time.AfterFunc(timeout, func() {
		r.tunnel.logRefusal(r.address, fmt.Errorf("logging on again: no answer after %v", timeout))
		r.broker.Close()
	})
	defer limit.Stop()
	return r.authenticate(r.tunnel.ctx, r.request)
}

// request sends a request of the tunnel itself and waits for the body of the response. r.writeLock is held.
func (r *relay) request(request kmsg.Request) ([]byte, error) {
	r.lastCorrelation++
	response := make(chan []byte, 1)
	r.expect(pendingRequest{key: request.Key(), version: request.GetVersion(), correlation: r.lastCorrelation,
		response: response})
	if _, err := r.broker.Write(security.EncodeRequest(request, r.lastCorrelation)); err != nil {
		return nil, err
	}
	select {
	case body := <-response:
		return body, nil
	case <-r.responsesEnded:
		return nil, net.ErrClosed
	}
}

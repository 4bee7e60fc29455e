package connectivitytest

import (
	"context"
	"slices"
	"time"
)

// Entry is something that was asked for.
type Entry struct {
	Time time.Time
	// Port is socks5, http, token, destination or info.
	Port string
	// Client is the client's address.
	Client string
	// Step is how far a connection of the SOCKS5 port came.
	Step Step
	// Methods are those of the SOCKS5 greeting.
	Methods []byte
	// Token is the jti of the token that was shown, or made; "?" where it was none of ours. ID is the token service's
	// client.
	Token, ID string
	// Location is the location id that was sent, decoded.
	Location string
	// Target is the virtual host:port, of the HTTP port its URL, of the services their path. Kind is the kind of
	// address in CONNECT.
	Target string
	Kind   byte
	// Code is the status, REP or HTTP status of the answer.
	Code int
	// Header are the header lines that an HTTP request came with: names alone.
	Header []string
	// Sent is from the client to the system, Received the other way, both in bytes; they are there when the tunnel has
	// ended.
	Sent, Received int64
	// Ended is when the connection was over.
	Ended time.Time
}

// Ledger is a copy of all entries, in the order of their beginning.
func (s *Server) Ledger() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ledger)
}

// Count is how many entries fit.
func (s *Server) Count(fits func(Entry) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(fits)
}

func (s *Server) count(fits func(Entry) bool) (n int) {
	for _, e := range s.ledger {
		if fits(e) {
			n++
		}
	}
	return n
}

// Wait returns when at least n entries fit, or with the error of ctx.
func (s *Server) Wait(ctx context.Context, n int, fits func(Entry) bool) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.count(fits) < n {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.changed.Wait()
	}
	return nil
}

// Tunnels is how many connections there are through the SOCKS5 port at this moment.
func (s *Server) Tunnels() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tunnels)
}

// Record keeps what goes through the SOCKS5 tunnels that are made from now on, both ways, in Recorded.
func (s *Server) Record(on bool) { s.set(func() { s.record = on }) }

// Recorded is what went through the tunnels while Record was on, at most 64 MiB, in the order in which it passed. It is
// what somebody who listens behind the proxy would see.
func (s *Server) Recorded() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.recorded)
}

const maxRecord = 64 << 20

func (s *Server) recordBytes(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.record && len(s.recorded)+len(b) <= maxRecord {
		s.recorded = append(s.recorded, b...)
	}
}

// addEntry begins an entry; change changes it later.
func (s *Server) addEntry(e Entry) (change func(func(*Entry))) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Time = time.Now()
	s.ledger = append(s.ledger, e)
	i := len(s.ledger) - 1
	s.changed.Broadcast()
	return func(f func(*Entry)) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f(&s.ledger[i])
		s.changed.Broadcast()
	}
}

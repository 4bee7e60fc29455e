package connectivitytest

import (
	"context"
	"slices"
	"time"
)

// Entry is a request in the ledger.
type Entry struct {
	Time time.Time
	// Port is socks5, http, token, destination or info.
	Port string
	// Client is the client's address.
	Client string
	// Step is the last step of a SOCKS5 connection.
	Step Step
	// Methods are those of the SOCKS5 greeting.
	Methods []byte
	// Token is the jti of the sent or issued token, "?" for a foreign one. ID is the token service's client.
	Token string
	ID    string
	// Location is the decoded location id.
	Location string
	// Target is the virtual host:port, the HTTP port's URL, or a service's path. Kind is the address type of CONNECT.
	Target string
	Kind   byte
	// Code is the status, REP or HTTP status of the response.
	Code int
	// Header contains the names of an HTTP request's headers.
	Header []string
	// Sent and Received are the bytes from and to the client, set when the tunnel has ended.
	Sent     int64
	Received int64
	// Ended is the end of the connection.
	Ended time.Time
}

// Ledger returns all entries in order of their start.
func (s *Server) Ledger() []Entry {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.entries)
}

// Count returns the number of matching entries.
func (s *Server) Count(matches func(Entry) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count(matches)
}

func (s *Server) count(matches func(Entry) bool) (n int) {
	for _, e := range s.entries {
		if matches(e) {
			n++
		}
	}
	return n
}

// Wait returns when at least n entries match, or with the error of ctx.
func (s *Server) Wait(ctx context.Context, n int, matches func(Entry) bool) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.count(matches) < n {
		if err := ctx.Err(); err != nil {
			return err
		}
		s.changed.Wait()
	}
	return nil
}

// Tunnels returns the number of open connections through the SOCKS5 port.
func (s *Server) Tunnels() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.tunnels)
}

// Record records the bytes of new SOCKS5 tunnels in both directions.
func (s *Server) Record(on bool) { s.set(func() { s.record = on }) }

// Recorded returns the recorded bytes in order, at most 64 MiB.
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

// addEntry starts an entry, which change updates.
func (s *Server) addEntry(e Entry) (change func(func(*Entry))) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.Time = time.Now()
	s.entries = append(s.entries, e)
	i := len(s.entries) - 1
	s.changed.Broadcast()
	return func(f func(*Entry)) {
		s.mu.Lock()
		defer s.mu.Unlock()
		f(&s.entries[i])
		s.changed.Broadcast()
	}
}

package connectivitytest

import (
	"net"
	"time"
)

// Step is a message of the SOCKS5 port.
type Step string

const (
	Accept   Step = "accept"   // before the first read
	Greeting Step = "greeting" // the reply is the method
	Logon    Step = "logon"    // the reply is the status
	Connect  Step = "connect"  // the reply is the REP
)

// Fault replaces the SOCKS5 port's reply at a step, after the request was read and recorded.
type Fault struct {
	At Step
	// Code is the reply's second byte: method, status or REP. Zero means unchanged.
	Code byte
	// Close and Stall send Bytes of the reply. Then Close closes the connection, and Stall sends nothing until the
	// fault is cleared, or client or server close.
	Close bool
	Stall bool
	Bytes int
	// Times is the number of occurrences. Zero means until cleared.
	Times int
	// Target and Location restrict it to matching requests, as far as known at the step. Empty means all.
	Target   string
	Location string

	remaining int
	cleared   chan struct{}
}

// Inject adds a fault. The last matching one applies. clear removes it.
func (s *Server) Inject(f Fault) (clear func()) {
	f.remaining = f.Times
	f.cleared = make(chan struct{})
	s.mu.Lock()
	defer s.mu.Unlock()
	fault := &f
	s.faults = append(s.faults, fault)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.remove(fault)
	}
}

func (s *Server) remove(f *Fault) {
	for i, other := range s.faults {
		if other == f {
			s.faults = append(s.faults[:i], s.faults[i+1:]...)
			close(f.cleared)
			return
		}
	}
}

// Answer sets the REP of the next CONNECTs; times 0 means all until clear.
func (s *Server) Answer(reply byte, times int) (clear func()) {
	return s.Inject(Fault{At: Connect, Code: reply, Times: times})
}

// Refuse sets the status of the next logons.
func (s *Server) Refuse(status byte, times int) (clear func()) {
	return s.Inject(Fault{At: Logon, Code: status, Times: times})
}

// Stall stops the reply of a step after some bytes.
func (s *Server) Stall(at Step, bytes int) (clear func()) {
	return s.Inject(Fault{At: at, Stall: true, Bytes: bytes})
}

// Fragment sends replies in single bytes.
func (s *Server) Fragment(on bool) { s.set(func() { s.fragment = on }) }

// RefuseByReply rejects tokens by REP 05 instead of the logon's status. The documentation has both without a condition.
func (s *Server) RefuseByReply(on bool) { s.set(func() { s.refuseByReply = on }) }

// DropTunnels closes all connections through the SOCKS5 port and returns their number.
func (s *Server) DropTunnels() int { return s.drop(func(*tunnel) bool { return true }) }

func (s *Server) drop(matches func(*tunnel) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for t := range s.tunnels {
		if matches(t) {
			t.client.Close()
			t.system.Close()
			delete(s.tunnels, t) // now, not when its end is noticed: Tunnels must not count it
			n++
		}
	}
	return n
}

// fault returns the fault for a step, or nil.
func (s *Server) fault(at Step, target, location string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.faults) - 1; i >= 0; i-- {
		f := s.faults[i]
		if f.At != at || (f.Target != "" && f.Target != target) || (f.Location != "" && f.Location != location) {
			continue
		}
		if f.Times > 0 {
			f.remaining--
			if f.remaining == 0 && !f.Stall { // to remove it would end the stall
				s.remove(f)
			} else if f.remaining < 0 {
				continue
			}
		}
		return f
	}
	return nil
}

// answer writes a reply, changed by a fault of the step, if any. ok is false if the connection must end.
func (s *Server) answer(conn net.Conn, at Step, target, location string, reply []byte) (code byte, ok bool) {
	f := s.fault(at, target, location)
	if f == nil {
		return codeOf(reply), s.write(conn, reply)
	}
	if f.Code != 0 && len(reply) > 1 {
		reply = append([]byte{reply[0], f.Code}, reply[2:]...)
	}
	if !f.Close && !f.Stall {
		return codeOf(reply), s.write(conn, reply)
	}
	s.write(conn, reply[:min(f.Bytes, len(reply))])
	if f.Stall {
		s.stall(conn, f)
	}
	return codeOf(reply), false
}

func codeOf(reply []byte) byte {
	if len(reply) > 1 {
		return reply[1]
	}
	return 0
}

// stall waits for the end of the fault, the client or the server.
func (s *Server) stall(conn net.Conn, f *Fault) {
	closed := make(chan struct{})
	s.goroutines.Go(func() {
		defer close(closed)
		var sink [512]byte
		for {
			if _, err := conn.Read(sink[:]); err != nil {
				return
			}
		}
	})
	select {
	case <-f.cleared:
	case <-s.done:
	case <-closed:
	}
	conn.SetReadDeadline(time.Unix(1, 0))
	<-closed
}

func (s *Server) write(conn net.Conn, reply []byte) bool {
	s.mu.Lock()
	fragment := s.fragment
	s.mu.Unlock()
	if !fragment {
		_, err := conn.Write(reply)
		return err == nil
	}
	for i := range reply {
		if _, err := conn.Write(reply[i : i+1]); err != nil {
			return false
		}
	}
	return true
}

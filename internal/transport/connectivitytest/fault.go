package connectivitytest

import (
	"net"
	"time"
)

// Step is an exchange of the SOCKS5 port.
type Step string

const (
	Accept   Step = "accept"   // nothing has been read yet
	Greeting Step = "greeting" // the answer is the method
	Logon    Step = "logon"    // the answer is the status
	Connect  Step = "connect"  // the answer is the REP
)

// Fault is something that the SOCKS5 port does in the place of its answer at a step. The request has been read and is
// in the ledger.
type Fault struct {
	At Step
	// Code is the answer's second byte: method, status or REP. 0 leaves it as it would be.
	Code byte
	// Close and Stall let Bytes of the answer out and then end the connection, or leave it there without another byte
	// until Close of the server, the fault is cleared, or the client has gone.
	Close, Stall bool
	Bytes        int
	// Times is how often this happens; 0 means until it is cleared.
	Times int
	// Target and Location restrict it to those who ask for them, as far as they have said so by then. "" is everybody.
	Target, Location string

	remaining int
	cleared   chan struct{}
}

// Inject makes a fault happen from now on. Of several that fit, the one that was injected last happens. clear ends it.
func (s *Server) Inject(f Fault) (clear func()) {
	f.remaining, f.cleared = f.Times, make(chan struct{})
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

// Answer lets the next CONNECTs have this REP; times 0 means all of them until clear.
func (s *Server) Answer(reply byte, times int) (clear func()) {
	return s.Inject(Fault{At: Connect, Code: reply, Times: times})
}

// Refuse lets the next logons have this status.
func (s *Server) Refuse(status byte, times int) (clear func()) {
	return s.Inject(Fault{At: Logon, Code: status, Times: times})
}

// Stall lets the port be silent at a step, behind some bytes of its answer.
func (s *Server) Stall(at Step, bytes int) (clear func()) {
	return s.Inject(Fault{At: at, Stall: true, Bytes: bytes})
}

// Fragment lets every answer of the SOCKS5 port come in single bytes.
func (s *Server) Fragment(on bool) { s.set(func() { s.fragment = on }) }

// RefuseByReply lets tokens be refused by REP 05 in the place of the logon's status. The pages have both and do not say
// when.
func (s *Server) RefuseByReply(on bool) { s.set(func() { s.refuseByReply = on }) }

// DropTunnels ends all connections through the SOCKS5 port and says how many there were.
func (s *Server) DropTunnels() int { return s.drop(func(*tunnel) bool { return true }) }

func (s *Server) drop(which func(*tunnel) bool) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for t := range s.tunnels {
		if which(t) {
			t.client.Close()
			t.system.Close()
			delete(s.tunnels, t) // not when its end was noticed: who asks next is not told of it
			n++
		}
	}
	return n
}

// fault is what is to go wrong at a step, if anything.
func (s *Server) fault(at Step, target, location string) *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.faults) - 1; i >= 0; i-- {
		f := s.faults[i]
		if f.At != at || f.Target != "" && f.Target != target || f.Location != "" && f.Location != location {
			continue
		}
		if f.Times > 0 {
			if f.remaining--; f.remaining == 0 && !f.Stall {
				s.remove(f)
			} else if f.remaining < 0 {
				continue
			}
		}
		return f
	}
	return nil
}

// answer writes an answer, or what a fault makes of it. It is false when the connection is not to go on.
func (s *Server) answer(conn net.Conn, at Step, target, location string, answer []byte) (code byte, ok bool) {
	f := s.fault(at, target, location)
	if f == nil {
		return codeOf(answer), s.write(conn, answer)
	}
	if f.Code != 0 && len(answer) > 1 {
		answer = append([]byte{answer[0], f.Code}, answer[2:]...)
	}
	if !f.Close && !f.Stall {
		return codeOf(answer), s.write(conn, answer)
	}
	s.write(conn, answer[:min(f.Bytes, len(answer))])
	if f.Stall {
		s.stall(conn, f)
	}
	return codeOf(answer), false
}

func codeOf(answer []byte) byte {
	if len(answer) > 1 {
		return answer[1]
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

func (s *Server) write(conn net.Conn, answer []byte) bool {
	s.mu.Lock()
	fragment := s.fragment
	s.mu.Unlock()
	if !fragment {
		_, err := conn.Write(answer)
		return err == nil
	}
	for i := range answer {
		if _, err := conn.Write(answer[i : i+1]); err != nil {
			return false
		}
	}
	return true
}

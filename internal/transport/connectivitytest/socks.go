package connectivitytest

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"slices"
	"strconv"
	"time"
)

// tunnel connects a client with a system.
type tunnel struct {
	location string
	client   net.Conn
	system   net.Conn
}

func (s *Server) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		s.goroutines.Go(func() { s.ServeSOCKS5(conn) })
	}
}

// ServeSOCKS5 serves one connection of the SOCKS5 port and closes it.
func (s *Server) ServeSOCKS5(conn net.Conn) {
	if !s.track(conn) {
		return
	}
	defer s.goroutines.Done()
	defer s.untrack(conn)
	session := &socksSession{Server: s, conn: conn, change: s.addEntry(Entry{Port: "socks5",
		Client: conn.RemoteAddr().String(), Step: Accept})}
	defer session.change(func(e *Entry) { e.Ended = time.Now() })
	session.run()
}

// socksSession serves a connection. It reads invalid messages too, as far as their length is known.
type socksSession struct {
	*Server
	conn      net.Conn
	change    func(func(*Entry))
	location  string
	target    string
	isRefused bool // the token was rejected, which the reply to CONNECT must report
}

func (s *socksSession) run() {
	if f := s.fault(Accept, "", ""); f != nil {
		if f.Stall {
			s.stall(s.conn, f)
		}
		return
	}
	if s.greeting() && s.logon() {
		s.connect()
	}
}

func (s *socksSession) read(n int) ([]byte, bool) {
	b := make([]byte, n)
	_, err := io.ReadFull(s.conn, b)
	return b, err == nil
}

// reply writes a reply and records its code.
func (s *socksSession) reply(at Step, answer []byte) (byte, bool) {
	code, ok := s.answer(s.conn, at, s.target, s.location, answer)
	s.change(func(e *Entry) { e.Code = int(code) })
	return code, ok
}

func (s *socksSession) greeting() bool {
	head, ok := s.read(2)
	if !ok || head[0] != 0x05 {
		return false
	}
	methods, ok := s.read(int(head[1]))
	if !ok {
		return false
	}
	s.change(func(e *Entry) {
		e.Step = Greeting
		e.Methods = methods
	})
	method := byte(0x80)
	if !slices.Contains(methods, method) {
		method = 0xff // no acceptable method
	}
	code, ok := s.reply(Greeting, []byte{0x05, method})
	return ok && code == 0x80
}

// maxToken is in bytes. Assumption: there is no documented limit.
const maxToken = 64 << 10

func (s *socksSession) logon() bool {
	head, ok := s.read(5) // version, length of the token
	if !ok || head[0] != 0x01 {
		return false
	}
	length := binary.BigEndian.Uint32(head[1:])
	if length > maxToken {
		return false
	}
	token, ok := s.read(int(length))
	if !ok {
		return false
	}
	size, ok := s.read(1)
	if !ok {
		return false
	}
	encoded, ok := s.read(int(size[0]))
	if !ok {
		return false
	}
	location, err := base64.StdEncoding.Strict().DecodeString(string(encoded))
	id, isValid := s.check(string(token), s.Connectivity)
	s.location = string(location)
	s.change(func(e *Entry) {
		e.Step = Logon
		e.Token = id
		e.ID = s.Connectivity.ID
		e.Location = s.location
	})
	s.mu.Lock()
	byReply := s.refuseByReply
	s.mu.Unlock()
	// Assumption: this byte is not documented.
	status := byte(0)
	switch {
	case err != nil:
		status = 0x01
	case !isValid && byReply:
		s.isRefused = true
	case !isValid:
		status = 0x01
	}
	code, ok := s.reply(Logon, []byte{0x01, status})
	return ok && code == 0
}

func (s *socksSession) connect() {
	request, ok := s.request()
	if !ok {
		return
	}
	if request.reply != 0 {
		s.reply(Connect, connectReply(request.reply))
		return
	}
	real, isAttached, isExposed := s.lookUp(s.location, s.target)
	reply := byte(0)
	switch {
	case s.isRefused:
		reply = 0x05 // connection refused
	case !isAttached:
		reply = 0x03 // network unreachable
	case !isExposed:
		reply = 0x02 // forbidden
	}
	if f := s.peek(); reply == 0 && f != nil && f.Code != 0 {
		reply = f.Code // without connecting to the system
	}
	if reply != 0 {
		s.reply(Connect, connectReply(reply))
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.goroutines.Go(func() {
		select {
		case <-ctx.Done():
		case <-s.done:
			cancel()
		}
	})
	system, err := s.dial(ctx, real)
	if err != nil {
		s.reply(Connect, connectReply(0x04)) // host unreachable
		return
	}
	if !s.track(system) {
		return
	}
	defer s.goroutines.Done()
	defer s.untrack(system)
	s.relay(system)
}

// peek returns the next fault of CONNECT without consuming it.
func (s *socksSession) peek() *Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.faults) - 1; i >= 0; i-- {
		f := s.faults[i]
		if f.At == Connect && (f.Target == "" || f.Target == s.target) && (f.Location == "" ||
			f.Location == s.location) && (f.Times == 0 || f.remaining > 0) {
			return f
		}
	}
	return nil
}

// connectRequest is a CONNECT. reply is not 0 if it must be rejected.
type connectRequest struct{ reply byte }

func (s *socksSession) request() (connectRequest, bool) {
	head, ok := s.read(4)
	if !ok || head[0] != 0x05 {
		return connectRequest{}, false
	}
	var host string
	request := connectRequest{}
	switch kind := head[3]; kind {
	case 0x01: // IPv4
		b, ok := s.read(4)
		if !ok {
			return request, false
		}
		host = net.IP(b).String()
	case 0x03: // a name
		size, ok := s.read(1)
		if !ok {
			return request, false
		}
		b, ok := s.read(int(size[0]))
		if !ok {
			return request, false
		}
		host = string(b)
	case 0x04: // IPv6, which SAP's proxy does not support
		b, ok := s.read(16)
		if !ok {
			return request, false
		}
		host = net.IP(b).String()
		request.reply = 0x08 // address type not supported
	default:
		return connectRequest{reply: 0x08}, true
	}
	port, ok := s.read(2)
	if !ok {
		return request, false
	}
	s.target = net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(port))))
	s.change(func(e *Entry) {
		e.Step = Connect
		e.Target = s.target
		e.Kind = head[3]
	})
	if head[1] != 0x01 { // not CONNECT
		request.reply = 0x07 // command not supported
	}
	return request, true
}

func connectReply(reply byte) []byte { return []byte{0x05, reply, 0x00, 0x01, 0, 0, 0, 0, 0, 0} }

// relay copies between client and system until both have closed.
func (s *socksSession) relay(system net.Conn) {
	answer := connectReply(0x00)
	t := &tunnel{location: s.location, client: s.conn, system: system}
	isAttached := false
	s.set(func() { // Detach may have closed the tunnels in the meantime
		isAttached = s.locations[s.location]
		if isAttached {
			s.tunnels[t] = struct{}{}
		}
	})
	if !isAttached {
		s.reply(Connect, connectReply(0x03))
		return
	}
	defer s.set(func() { delete(s.tunnels, t) })
	if _, ok := s.reply(Connect, answer); !ok {
		return
	}
	var sent, received int64
	done := make(chan struct{})
	s.goroutines.Go(func() {
		defer close(done)
		sent = s.copyOneWay(system, s.conn)
	})
	received = s.copyOneWay(s.conn, system)
	<-done
	s.change(func(e *Entry) {
		e.Sent = sent
		e.Received = received
	})
}

// copyOneWay copies until the end and closes the other side for writing.
func (s *socksSession) copyOneWay(target, source net.Conn) int64 {
	s.mu.Lock()
	record := s.record
	s.mu.Unlock()
	var n int64
	var err error
	if record {
		n, err = io.Copy(io.MultiWriter(recorder{s.Server}, target), source)
	} else {
		n, err = io.Copy(target, source) // by the kernel between TCP connections
	}
	half, ok := target.(interface{ CloseWrite() error })
	if err != nil || !ok || half.CloseWrite() != nil {
		target.Close()
		source.Close()
	}
	return n
}

// recorder records the bytes of tunnels.
type recorder struct{ *Server }

func (r recorder) Write(b []byte) (int, error) {
	r.recordBytes(b)
	return len(b), nil
}

package route

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// connectDialer makes tunnels by CONNECT of an ordinary HTTP proxy.
type connectDialer struct{ settings *Settings }

// Refused is an HTTP proxy's answer to CONNECT other than yes.
type Refused struct {
	Proxy, Target string
	// Status is the answer's, Reason the text after it.
	Status int
	Reason string
	// Setting is the user's name of the setting that mends it.
	Setting string
}

func (r *Refused) Error() string {
	text := fmt.Sprintf("HTTP proxy %s refused to connect to %s: %d %s", r.Proxy, r.Target, r.Status, r.Reason)
	if r.Setting != "" {
		text += " (see " + r.Setting + ")"
	}
	return text
}

// Permanent says whether trying again is of no use before somebody has changed something: the statuses 4xx but for 408
// and 429.
func (r *Refused) Permanent() bool {
	return r.Status/100 == 4 && r.Status != http.StatusRequestTimeout && r.Status != http.StatusTooManyRequests
}

// NotHTTP is something that answers CONNECT and is no HTTP proxy.
type NotHTTP struct {
	Proxy, Found, Setting string
}

func (n *NotHTTP) Error() string {
	return fmt.Sprintf("%s %s: expected an HTTP proxy's answer to CONNECT, found %s", n.Setting, n.Proxy, n.Found)
}

// Permanent is true: whatever listens there is something else.
func (*NotHTTP) Permanent() bool { return true }

func (c *connectDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s := c.settings
	conn, err := s.Forward.DialContext(ctx, network, s.Address)
	if err != nil {
		return nil, fmt.Errorf("HTTP proxy %s: %w", s.Address, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	err = c.connect(conn, address)
	if !stop() {
		err = fmt.Errorf("HTTP proxy %s, CONNECT %s: %w", s.Address, address, ctx.Err())
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func (c *connectDialer) connect(conn net.Conn, address string) error {
	s := c.settings
	request := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if s.User != "" {
		request += "Proxy-Authorization: " + basic(s.User, s.Password) + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return fmt.Errorf("HTTP proxy %s, CONNECT %s: %w", s.Address, address, err)
	}
	for {
		response, err := c.readHead(conn)
		if err != nil {
			return err
		}
		switch {
		case response.StatusCode/100 == 1: // the answer is still to come
		case response.StatusCode/100 == 2:
			return nil
		default:
			refused := &Refused{Proxy: s.Address, Target: address, Status: response.StatusCode,
				Reason: reason(response.Status)}
			// Tinyproxy says 401 to a wrong password; CONNECT is answered by nobody but the proxy.
			if response.StatusCode == http.StatusProxyAuthRequired || response.StatusCode == http.StatusUnauthorized {
				refused.Setting = s.name(NameUser) + ", " + s.name(NamePassword)
			}
			return refused
		}
	}
}

// maxHead is in bytes.
const maxHead = 64 << 10

// readHead reads an answer up to its empty line and not a byte more, which is why it reads one at a time: what follows
// is the stream's.
func (c *connectDialer) readHead(conn net.Conn) (*http.Response, error) {
	s := c.settings
	var head []byte
	var one [1]byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) && !bytes.HasSuffix(head, []byte("\n\n")) {
		if _, err := io.ReadFull(conn, one[:]); err != nil {
			return nil, fmt.Errorf("HTTP proxy %s ended its answer to CONNECT after %d bytes: %w", s.Address, len(head),
				err)
		}
		head = append(head, one[0])
		if begin := "HTTP/"; len(head) <= len(begin) && string(head) != begin[:len(head)] {
			return nil, &NotHTTP{s.Address, fmt.Sprintf("bytes % x", head), s.name(NameAddress)}
		}
		if len(head) > maxHead {
			return nil, &NotHTTP{s.Address, fmt.Sprintf("more than %d bytes of header", maxHead),
				s.name(NameAddress)}
		}
	}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)),
		&http.Request{Method: http.MethodConnect})
	if err != nil {
		return nil, &NotHTTP{s.Address, err.Error(), s.name(NameAddress)}
	}
	return response, nil
}

func reason(status string) string {
	_, text, _ := strings.Cut(status, " ")
	if len(text) > 200 {
		text = text[:200]
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, text)
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

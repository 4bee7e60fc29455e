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

// connectDialer connects by CONNECT through an HTTP proxy.
type connectDialer struct{ settings *Settings }

// Refused is an HTTP proxy's negative answer to CONNECT.
type Refused struct {
	Proxy   string
	Target  string
	Status  int
	Reason  string
	Setting string
}

func (r *Refused) Error() string {
	message := fmt.Sprintf("HTTP proxy %s refused to connect to %s: %d %s", r.Proxy, r.Target, r.Status, r.Reason)
	if r.Setting != "" {
		message += " (see " + r.Setting + ")"
	}
	return message
}

// Permanent reports whether a retry cannot help: 4xx except 408 and 429.
func (r *Refused) Permanent() bool {
	return r.Status/100 == 4 && r.Status != http.StatusRequestTimeout && r.Status != http.StatusTooManyRequests
}

// NotHTTP is the error of a server that is not an HTTP proxy.
type NotHTTP struct {
	Proxy   string
	Found   string
	Setting string
}

func (n *NotHTTP) Error() string {
	return fmt.Sprintf("%s %s: expected an HTTP proxy's answer to CONNECT, found %s", n.Setting, n.Proxy, n.Found)
}

// Permanent returns true: the address must be corrected.
func (*NotHTTP) Permanent() bool { return true }

func (c *connectDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	s := c.settings
	conn, err := s.Forward.DialContext(ctx, network, s.Address)
	if err != nil {
		return nil, fmt.Errorf("HTTP proxy %s: %w", s.Address, err)
	}
	// A deadline in the past makes reads and writes fail at once.
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
	settings := c.settings
	request := "CONNECT " + address + " HTTP/1.1\r\nHost: " + address + "\r\n"
	if settings.User != "" {
		request += "Proxy-Authorization: Basic " +
			base64.StdEncoding.EncodeToString([]byte(settings.User+":"+settings.Password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		return fmt.Errorf("HTTP proxy %s, CONNECT %s: %w", settings.Address, address, err)
	}
	for {
		response, err := c.readHead(conn)
		if err != nil {
			return err
		}
		switch {
		case response.StatusCode/100 == 1: // interim response: read the next one
		case response.StatusCode/100 == 2:
			return nil
		default:
			refused := &Refused{Proxy: settings.Address, Target: address, Status: response.StatusCode,
				Reason: reason(response.Status)}
			// 401 also comes from the proxy, which alone answers CONNECT: Tinyproxy sends it for a wrong password.
			if response.StatusCode == http.StatusProxyAuthRequired || response.StatusCode == http.StatusUnauthorized {
				refused.Setting = settings.name(NameUser) + ", " + settings.name(NamePassword)
			}
			return refused
		}
	}
}

const maxHead = 64 << 10 // bytes

// readHead reads the response head byte by byte, since the bytes after its empty line belong to the tunnel.
func (c *connectDialer) readHead(conn net.Conn) (*http.Response, error) {
	var head []byte
	var nextByte [1]byte
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) && !bytes.HasSuffix(head, []byte("\n\n")) {
		if _, err := io.ReadFull(conn, nextByte[:]); err != nil {
			return nil, fmt.Errorf("HTTP proxy %s closed the connection after %d bytes of its answer to CONNECT: %w",
				c.settings.Address, len(head), err)
		}
		head = append(head, nextByte[0])
		// Another server is noticed by its first byte: it may send no more.
		if begin := "HTTP/"; len(head) <= len(begin) && string(head) != begin[:len(head)] {
			return nil, c.notHTTP(fmt.Sprintf("bytes % x", head))
		}
		if len(head) > maxHead {
			return nil, c.notHTTP(fmt.Sprintf("a header of more than %d bytes", maxHead))
		}
	}
	request := &http.Request{Method: http.MethodConnect}
	response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), request)
	if err != nil {
		return nil, c.notHTTP(err.Error())
	}
	return response, nil
}

func (c *connectDialer) notHTTP(found string) error {
	return &NotHTTP{Proxy: c.settings.Address, Found: found, Setting: c.settings.name(NameAddress)}
}

// reason returns the reason phrase of a status line, with spaces for control characters.
func reason(status string) string {
	_, phrase, _ := strings.Cut(status, " ")
	const maxPhrase = 200 // bytes
	phrase = phrase[:min(len(phrase), maxPhrase)]
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, phrase)
}

package socks

import (
	"fmt"
	"io"
)

// Reads never go beyond the known length of a reply: the bytes after the last one belong to the tunnel.

// readStatus reads the two bytes of the replies to the greeting and to the logon, and returns the second one.
func (a *attempt) readStatus(r io.Reader, version byte) (byte, error) {
	var b [2]byte
	if _, err := io.ReadFull(r, b[:1]); err != nil {
		return 0, truncatedError(err, 0, 2)
	}
	if b[0] != version {
		return 0, a.unexpected(fmt.Sprintf("an answer that begins with %02x", version), b[0])
	}
	if _, err := io.ReadFull(r, b[1:]); err != nil {
		return 0, truncatedError(err, 1, 2)
	}
	return b[1], nil
}

// readConnectReply reads the reply to CONNECT and returns its REP; the address in it has no meaning.
func (a *attempt) readConnectReply(r io.Reader) (byte, error) {
	var b [4 + 1 + 255 + 2]byte // head, length of a name, name, port
	n := 0
	read := func(count int) error {
		want := n + count
		got, err := io.ReadFull(r, b[n:want])
		n += got
		return truncatedError(err, n, want)
	}
	if err := read(1); err != nil {
		return 0, err
	}
	if b[0] != version5 {
		return 0, a.unexpected("an answer that begins with 05", b[0])
	}
	if err := read(3); err != nil {
		return a.partialReply(b[:n], err)
	}
	remaining := 2 // the port
	switch b[3] {
	case addressIPv4:
		remaining += 4
	case addressIPv6:
		remaining += 16
	case addressName:
		if err := read(1); err != nil {
			return a.partialReply(b[:n], err)
		}
		remaining += int(b[4])
	default:
		if b[1] != Success {
			return b[1], nil // a refusal: the rest does not matter
		}
		return 0, a.unexpected("an address of type 01, 03 or 04", b[3])
	}
	if err := read(remaining); err != nil {
		return a.partialReply(b[:n], err)
	}
	return b[1], nil
}

// partialReply returns the REP of a truncated reply if it is a refusal, else err.
func (a *attempt) partialReply(got []byte, err error) (byte, error) {
	if len(got) >= 2 && got[1] != Success {
		return got[1], nil
	}
	return 0, err
}

func (a *attempt) unexpected(expected string, found byte) error {
	s := fmt.Sprintf("%02x", found)
	if found == 'H' {
		s += " (probably HTTP)"
	}
	return &Unexpected{Proxy: a.Address, Target: a.endpoint.address, Step: a.step, Expected: expected, Found: s}
}

// truncatedError describes the end of the connection, or another error, in a reply; nil stays nil.
func truncatedError(err error, got, want int) error {
	switch err {
	case nil:
		return nil
	case io.EOF, io.ErrUnexpectedEOF:
		return fmt.Errorf("the proxy closed the connection after %d of at least %d bytes of its answer: %w", got, want,
			io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("after %d of at least %d bytes of the proxy's answer: %w", got, want, err)
}

package socks

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/culvert-project/culvert/internal/base/require"
)

// Any reply to CONNECT is read to its end and not beyond, with the same result in any fragmentation.
func FuzzConnected(f *testing.F) {
	for _, s := range []string{
		"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00rest",
		"\x05\x00\x00\x03\x02ab\x00\x01rest",
		"\x05\x00\x00\x03\x00\x00\x01",
		"\x05\x00\x00\x04aaaabbbbccccdddd\x00\x01rest",
		"\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00",
		"\x05\x02",
		"\x05\x00\x00\x02",
		"\x05\x03\x00\x09",
		"HTTP/1.1 400",
		"\x04\x5a",
		"",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a := &attempt{dialCall: &dialCall{Dialer: &Dialer{}}, step: StepConnect}
		whole := bytes.NewReader(data)
		reply, err := a.readConnectReply(whole)
		pieces := bytes.NewReader(data)
		replyInPieces, errInPieces := a.readConnectReply(iotest.OneByteReader(pieces))
		require.True(t, reply == replyInPieces && (err == nil) == (errInPieces == nil) && whole.Len() == pieces.Len(),
			"in one piece: %02x, %v, %d left; in many: %02x, %v, %d left", reply, err, whole.Len(), replyInPieces,
			errInPieces, pieces.Len())
		used := len(data) - whole.Len()
		switch {
		case err == nil && reply == Success:
			want := replyLength(data)
			require.True(t, used == want, "found %d read bytes, expected a reply of %d: % x", used, want, data)
		case err == nil:
			require.True(t, len(data) >= 2 && data[0] == 5 && data[1] == reply,
				"found REP %02x, expected the second byte of % x", reply, data)
		case errors.Is(err, io.ErrUnexpectedEOF):
			require.True(t, whole.Len() == 0 && replyLength(data) > len(data),
				"expected an error for an incomplete reply: % x", data)
		default:
			var unexpected *Unexpected
			require.True(t, errors.As(err, &unexpected) && used <= 4,
				"expected *Unexpected after at most 4 bytes, found %v after %d bytes of % x", err, used, data)
		}
	})
}

// replyLength returns the length of a reply by its first bytes (RFC 1928): more than len(data) if it is incomplete, 0
// if it is invalid.
func replyLength(data []byte) int {
	if len(data) == 0 {
		return 1
	}
	if data[0] != 5 {
		return 0
	}
	if len(data) < 5 {
		if len(data) == 4 && data[3] != 1 && data[3] != 3 && data[3] != 4 {
			return 0
		}
		return 7
	}
	switch data[3] {
	case 1:
		return 10
	case 3:
		return 7 + int(data[4])
	case 4:
		return 22
	}
	return 0
}

// Replies to greeting and logon are read to their end and not beyond.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("\x05\x80rest"), byte(5))
	f.Add([]byte("\x01\x00"), byte(1))
	f.Add([]byte("\x01"), byte(1))
	f.Fuzz(func(t *testing.T, data []byte, version byte) {
		a := &attempt{dialCall: &dialCall{Dialer: &Dialer{}}, step: StepGreeting}
		r := bytes.NewReader(data)
		code, err := a.readStatus(iotest.OneByteReader(r), version)
		isComplete := len(data) >= 2 && data[0] == version
		if isComplete != (err == nil) || (isComplete && (code != data[1] || r.Len() != len(data)-2)) {
			t.Fatalf("% x, version %02x: found code %02x, %v, %d bytes left", data, version, code, err, r.Len())
		}
	})
}

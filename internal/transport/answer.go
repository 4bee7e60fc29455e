package transport

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// isSessionEnd reports whether the service ended the request's session before it did anything. Assumption: ICF's
// 400 says so in English, in the status line or in its page; no document gives the exact bytes.
func (a *Answer) isSessionEnd() bool {
	if a.Status != http.StatusBadRequest || !a.inSession {
		return false
	}
	return mentionsSessionEnd(a.reason) || !a.isData() && mentionsSessionEnd(a.peek(4<<10))
}

func mentionsSessionEnd(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "session timed out") || strings.Contains(text, "session not found") ||
		strings.Contains(text, "session no longer exists")
}

// isData reports whether an answer is JSON or XML, which the service itself has written within a session. ICF's
// pages are HTML.
func (a *Answer) isData() bool {
	for _, h := range a.Headers {
		if !strings.EqualFold(h.Name, "Content-Type") {
			continue
		}
		kind, _, _ := strings.Cut(strings.ToLower(h.Value), ";")
		kind = strings.TrimSpace(kind)
		if strings.HasSuffix(kind, "json") || strings.HasSuffix(kind, "xml") && kind != "application/xhtml+xml" {
			return true
		}
	}
	head := strings.ToLower(strings.TrimLeft(a.peek(4<<10), " \t\r\n\ufeff"))
	return strings.HasPrefix(head, "{") || strings.HasPrefix(head, "<?xml") && !strings.Contains(head, "<html")
}

// Answer is an answer whose body is still to be read: Response.Body is empty. Body must be closed.
type Answer struct {
	wit.Response
	// Body ends with io.EOF only if the answer is complete. Other errors are a transient *wit.Error, or the cause
	// of the context that [Client.Do] was called with.
	Body         io.ReadCloser
	reason       string
	token        string
	secrets      []string // of the request, which no message shows
	inSession    bool
	sessionEnded bool
	generation   int

	tokenRefused bool
}

// isConnectorMissing reports whether the proxy of SAP Connectivity found no Cloud Connector, so that the request
// was not forwarded. Assumption: no service mentions the Cloud Connector in a 503.
func (a *Answer) isConnectorMissing() bool {
	return strings.Contains(a.peek(1<<10), "no SAP Cloud Connector")
}

// discard reads the rest of a short body, so that its connection can be reused.
func (a *Answer) discard() {
	io.CopyN(io.Discard, a.Body, 64<<10)
	a.Body.Close()
}

// peek returns the beginning of the body without consuming it.
func (a *Answer) peek(n int64) string {
	head, err := io.ReadAll(io.LimitReader(a.Body, n))
	rest := a.Body
	a.Body = peekedBody{io.MultiReader(bytes.NewReader(head), resumedReader{err, rest}), rest}
	return toUTF8(string(head))
}

type peekedBody struct {
	io.Reader
	io.Closer
}

// resumedReader continues after a peeked beginning, unless reading that failed.
type resumedReader struct {
	err  error
	rest io.Reader
}

func (e resumedReader) Read(p []byte) (int, error) {
	if e.err != nil {
		return 0, e.err
	}
	return e.rest.Read(p)
}

// excerpt returns the beginning of a body for a message, and discards the rest.
func (a *Answer) excerpt() string {
	head, _ := io.ReadAll(io.LimitReader(a.Body, 300))
	a.discard()
	text := toUTF8(string(head))
	for _, s := range a.secrets { // cut in the middle
		for n := min(len(s)-1, len(text)); n >= shortestSecret; n-- {
			if strings.HasSuffix(text, s[:n]) {
				text = text[:len(text)-n]
				break
			}
		}
	}
	return strings.Join(strings.Fields(redact(text, a.secrets)), " ")
}

// NoResponseError is the error of a request that may have been processed, must not be sent twice, and got no
// readable answer.
type NoResponseError struct {
	Method, Target string
	// Status is that of the unreadable answer. Zero means that no answer arrived.
	Status int
	Cause  error
}

func (n *NoResponseError) Error() string {
	if n.Status != 0 {
		return fmt.Sprintf("%s %s was answered %d, and the answer cannot be used: %v", n.Method, n.Target, n.Status,
			n.Cause)
	}
	return fmt.Sprintf("%s %s may have arrived, but no answer came: %v", n.Method, n.Target, n.Cause)
}

func (n *NoResponseError) Unwrap() error { return n.Cause }

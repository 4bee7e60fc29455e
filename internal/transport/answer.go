package transport

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

const (
	headBytes    = 4 << 10 // of a body, in which its kind and the text of a page are looked for
	excerptBytes = 300     // of a body, for messages
)

// isSessionEnd reports whether the answer is ICF's 400 for a session that has ended. Assumption: the status line or
// the HTML page says so in English.
func (a *Answer) isSessionEnd() bool {
	if a.Status != http.StatusBadRequest || !a.inSession {
		return false
	}
	return mentionsSessionEnd(a.reason) || (!a.isData() && mentionsSessionEnd(a.peek(headBytes)))
}

func mentionsSessionEnd(text string) bool {
	text = strings.ToLower(text)
	return strings.Contains(text, "session timed out") || strings.Contains(text, "session not found") ||
		strings.Contains(text, "session no longer exists")
}

// isData reports whether an answer is JSON or XML, which only the service writes: ICF's pages are HTML.
func (a *Answer) isData() bool {
	for _, h := range a.Headers {
		if !strings.EqualFold(h.Name, "Content-Type") {
			continue
		}
		kind, _, _ := strings.Cut(strings.ToLower(h.Value), ";")
		kind = strings.TrimSpace(kind)
		if strings.HasSuffix(kind, "json") || (strings.HasSuffix(kind, "xml") && kind != "application/xhtml+xml") {
			return true
		}
	}
	head := strings.ToLower(strings.TrimLeft(a.peek(headBytes), " \t\r\n\ufeff"))
	return strings.HasPrefix(head, "{") || (strings.HasPrefix(head, "<?xml") && !strings.Contains(head, "<html"))
}

// Answer is an answer whose body has not been read: Response.Body is empty. Close Body.
type Answer struct {
	wit.Response
	// Body ends with io.EOF if the answer is complete. Other errors are a transient *wit.Error, or the context's cause.
	Body io.ReadCloser
	// SessionLost reports that a request of a read was not accepted, and that the session of the page before has ended,
	// or was opened by an earlier run and is unknown, see [WithAffinity].
	SessionLost  bool
	reason       string   // of the status line
	token        string   // the value of X-Csrf-Token
	secrets      []string // of the request, hidden in messages
	inSession    bool     // the request had cookies of a session
	sessionEnded bool     // see isSessionEnd
	generation   int      // of the session
	tokenRefused bool     // the service refused the request's CSRF token
}

// discard closes the body. It reads a short one first, so that the connection can be used again.
func (a *Answer) discard() {
	io.CopyN(io.Discard, a.Body, 64<<10)
	a.Body.Close()
}

// peek returns up to n bytes of the body, and replaces Body by one that returns them again.
func (a *Answer) peek(n int64) string {
	head, err := io.ReadAll(io.LimitReader(a.Body, n))
	unread := a.Body
	a.Body = peekedBody{io.MultiReader(bytes.NewReader(head), resumedReader{err: err, unread: unread}), unread}
	return toUTF8(string(head))
}

type peekedBody struct {
	io.Reader
	io.Closer
}

// resumedReader continues with unread, or returns err if reading has failed before.
type resumedReader struct {
	err    error
	unread io.Reader
}

func (r resumedReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	return r.unread.Read(p)
}

// excerpt returns the redacted beginning of the body for a message, and discards the rest.
func (a *Answer) excerpt() string {
	head, _ := io.ReadAll(io.LimitReader(a.Body, excerptBytes))
	a.discard()
	excerpt := toUTF8(string(head))
	for _, s := range a.secrets { // remove a secret that is truncated at the end
		for n := min(len(s)-1, len(excerpt)); n >= shortestSecret; n-- {
			if strings.HasSuffix(excerpt, s[:n]) {
				excerpt = excerpt[:len(excerpt)-n]
				break
			}
		}
	}
	return strings.Join(strings.Fields(redact(excerpt, a.secrets)), " ")
}

// NoResponseError is the error of a request without a readable answer that must not be repeated.
type NoResponseError struct {
	Method string
	Target string
	Status int // of the answer, or 0
	Cause  error
}

func (n *NoResponseError) Error() string {
	if n.Status != 0 {
		return fmt.Sprintf("%s %s: the response with status %d cannot be used: %v", n.Method, n.Target, n.Status,
			n.Cause)
	}
	return fmt.Sprintf("%s %s may have arrived, but there was no response: %v", n.Method, n.Target, n.Cause)
}

func (n *NoResponseError) Unwrap() error { return n.Cause }

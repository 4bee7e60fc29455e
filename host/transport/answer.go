package transport

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/culvert-project/culvert/wit"
)

// ended says whether an answer says that the session of its request was ended by the service before anything was done.
// Assumption: ICF's answer 400 says so in the status line or in its page, in English; no document gives its exact
// bytes.
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

// isData says whether an answer is in JSON or XML: then the service itself has made it, in a session, and what it
// says of sessions is about its own business. ICF's pages are HTML.
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
	// Body ends with io.EOF only where the answer ended as it said it would; everything else is an error: a *wit.Fault
	// of kind transient, or the cause of the context that [Client.Do] was called with.
	Body io.ReadCloser
	// reason is the text after the status; token is the service's CSRF token, which is none of the guest's; inSession:
	// cookies went with the request; over: their session had ended before; wantsToken: it refuses the request for its
	// CSRF token.
	reason    string
	token     string
	secrets   []string // of the request, which no message shows
	inSession bool
	sessionEnded      bool
	// generation is that of the session, whose cookies went along.
	generation int

	tokenRefused bool
}

// isConnectorMissing says whether the proxy of SAP Connectivity says that no Cloud Connector is there: the request went
// nowhere. assumption: its text names the Cloud Connector, which no service behind one does.
func (a *Answer) isConnectorMissing() bool {
	return strings.Contains(a.peek(1<<10), "no SAP Cloud Connector")
}

// discard reads what is left of a short body, so that its connection can be used again.
func (a *Answer) discard() {
	io.CopyN(io.Discard, a.Body, 64<<10)
	a.Body.Close()
}

// peek is the beginning of the body, which can be read all the same.
func (a *Answer) peek(n int64) string {
	head, err := io.ReadAll(io.LimitReader(a.Body, n))
	rest := a.Body
	a.Body = peekedBody{io.MultiReader(bytes.NewReader(head), resumedReader{err, rest}), rest}
	return toUTF8(string(head))
}

// peekedBody is a body of which some was read already.
type peekedBody struct {
	io.Reader
	io.Closer
}

// ended goes on after a body's beginning, unless that ended in an error.
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

// excerpt is the beginning of a body for a message; it discards the rest.
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

// NoResponseError is the error of a request that may have been acted on, must not be sent twice, and got no answer, or none
// that could be read.
type NoResponseError struct {
	Method, Target string
	// Status of the answer that could not be read, 0 where none came.
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

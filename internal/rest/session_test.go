package rest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/culvert-project/culvert/internal/base/assert"
	"github.com/culvert-project/culvert/internal/base/require"
)

const permit = "POST /culvert/internal/permit"

// newSession returns a session with a key; "" means no key.
func newSession(t testing.TB, secret string) *Session {
	t.Helper()
	s, err := NewSession("HmacSHA256", []string{"HmacSHA256"})
	require.NoError(t, err)
	if secret != "" {
		require.NoError(t, s.SetKey([]byte(secret)))
	}
	return s
}

const (
	firstKey  = "the first key of the cluster"
	secondKey = "the second key of the cluster"
)

// internals is a worker of a cluster that handles internal calls, with all access checks for users.
type internals struct {
	*Server
	*Session
	url          string
	seat         *seat
	handledCalls atomic.Int32
}

func newInternals(t *testing.T, secret string) *internals {
	t.Helper()
	i := &internals{Session: newSession(t, secret), seat: &seat{}}
	i.Handle(permit, func(_ context.Context, connector string, body []byte) (any, error) {
		i.handledCalls.Add(1)
		switch string(body) {
		case "nothing":
			return nil, nil
		case "refuse":
			return nil, &Refusal{http.StatusConflict, "another worker has it"}
		case "panic":
			panic("a mistake in what answers")
		case "much":
			return strings.Repeat("x", maxCallBytes), nil
		}
		return map[string]string{"connector": connector, "body": string(body[:min(len(body), 10)])}, nil
	})
	i.Handle("POST /connectors/{name}/tasks", i.calls[permit])
	i.Handle("PUT /connectors/{name}/fence", i.calls[permit])
	i.Server = startServerFor(t, Options{Cluster: i.seat, Session: i.Session, ReadOnly: true, Users: usersFile(t),
		AllowedHosts: []string{"connect.example.com"}}, slog.New(slog.DiscardHandler), &standIn{})
	i.url = i.URLs()[0]
	i.seat.set(func(s *seat) {
		s.leader = i.url + "/"
		s.url = i.url + "/"
	})
	return i
}

// send sends a call that a session has signed. change modifies it afterwards.
func (i *internals) send(t *testing.T, by *Session, call, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	method, target, _ := strings.Cut(call, " ")
	r := newRequest(t, method, i.url+target, body)
	require.NoError(t, by.Sign(r, []byte(body)))
	r.Host = "evil.example" // which is allowed for a signed call
	if change != nil {
		change(r)
	}
	a, text := exchange(t, http.DefaultClient, r)
	return a.StatusCode, text
}

// A signature is valid once, at one worker.
func TestSignatureIsValidOnce(t *testing.T) {
	i := newInternals(t, firstKey)
	other := newInternals(t, firstKey)
	headersOf := func(r *http.Request) http.Header { return r.Header.Clone() }
	var headers http.Header
	const fence = "PUT /connectors/a/fence"
	status, _ := i.send(t, i.Session, fence, "", func(r *http.Request) { headers = headersOf(r) })
	assert.Equal(t, 200, status)
	repeat := func(r *http.Request) { r.Header = headers.Clone() }
	for range 2 {
		status, text := i.send(t, i.Session, fence, "", repeat)
		const want = `403 {"error_code":403,"message":"Internal request contained a signature that was used before"}`
		assert.Equal(t, want, fmt.Sprint(status, " ", text))
	}
	status, _ = other.send(t, other.Session, fence, "", repeat)
	assert.Equal(t, 403, status)
	assert.Equal(t, 0, other.handledCalls.Load())
	assert.Equal(t, 1, i.handledCalls.Load())
	// A call whose body differs from the signed one uses up its signature.
	status, _ = i.send(t, i.Session, permit, "{}", func(r *http.Request) {
		headers = headersOf(r)
		r.Body = io.NopCloser(strings.NewReader("[]"))
		r.ContentLength = 2
	})
	assert.Equal(t, 403, status)
	status, _ = i.send(t, i.Session, permit, "{}", repeat)
	assert.Equal(t, 403, status)
}

// An unsigned call neither reveals nor changes anything. Statuses are those of Kafka Connect's
// SessionedProtocolIntegrationTest, whatever access checks the worker has for users.
func TestUnsignedCalls(t *testing.T) {
	keyless := newInternals(t, "")
	i := newInternals(t, firstKey)
	kafkaSignature := hmac.New(sha256.New, []byte(firstKey))
	kafkaSignature.Write([]byte("[]"))
	for _, call := range []string{permit, "POST /connectors/connector/tasks", "PUT /connectors/connector/fence"} {
		for name, c := range map[string]struct {
			worker    *internals
			signature string
			want      int
		}{
			"unsigned":         {worker: i, want: 400},
			"unsigned, no key": {worker: keyless, want: 400},
			"wrong":            {worker: i, signature: "S2Fma2Flc3F1ZQ==", want: 403},
			"right for Kafka Connect": {
				worker:    i,
				signature: base64.StdEncoding.EncodeToString(kafkaSignature.Sum(nil)),
				want:      403,
			},
			"no key": {worker: keyless, signature: "S2Fma2Flc3F1ZQ==", want: 503},
		} {
			status, text := c.worker.send(t, i.Session, call, "[]", func(r *http.Request) {
				r.Header = http.Header{"Content-Type": {"application/json"}}
				if c.signature != "" {
					r.Header.Set(signatureHeader, c.signature)
					r.Header.Set(algorithmHeader, "HmacSHA256")
				}
			})
			assert.True(t, status == c.want && strings.Contains(text, `"error_code":`+fmt.Sprint(c.want)),
				"%s, %s: expected %d, found %d %s", call, name, c.want, status, text)
		}
	}
	assert.Equal(t, 0, i.handledCalls.Load()+keyless.handledCalls.Load())
	r, err := http.NewRequest("POST", i.url+"/culvert/internal/permit", nil)
	require.NoError(t, err)
	err = keyless.Sign(r, nil)
	assert.True(t, errors.Is(err, ErrNoKey) && len(r.Header) == 0, "expected ErrNoKey, found %v %v", err, r.Header)
}

// The body is not read before the signature was verified.
func TestBodiesOfForgedCallsAreNotRead(t *testing.T) {
	i := newInternals(t, firstKey)
	conn, err := net.Dial("tcp", strings.TrimPrefix(i.url, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST /culvert/internal/permit HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n"+
		"%s: AAAA\r\n%s: HmacSHA256\r\n\r\n", signatureHeader, algorithmHeader)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	assert.Equal(t, 403, answer.StatusCode)
}

// Neither a standalone worker nor an admin listener has internal calls, and the OpenAPI document and the routes do not
// list them.
func TestInternalCallsAreNotListed(t *testing.T) {
	s := newSession(t, firstKey)
	s.Handle(permit, func(context.Context, string, []byte) (any, error) { return nil, nil })
	alone := startServerFor(t, Options{}, slog.New(slog.DiscardHandler), &standIn{})
	separate := startServerFor(t, Options{Session: s, Cluster: &seat{url: "http://a:1"}, SeparateAdmin: true,
		Admin: []string{"http://127.0.0.1:0"}}, slog.New(slog.DiscardHandler), &standIn{})
	for _, url := range []string{alone.URLs()[0], separate.URLs()[1]} {
		a := fetch(t, http.DefaultClient, "POST", url+"/culvert/internal/permit", "")
		assert.Equal(t, 404, a.StatusCode)
	}
	a := fetch(t, http.DefaultClient, "POST", separate.URLs()[0]+"/culvert/internal/permit", "")
	assert.Equal(t, 400, a.StatusCode)
	for _, r := range Routes() {
		assert.True(t, !strings.Contains(r.Path, "/internal/") && !strings.HasSuffix(r.Path, "/fence") &&
			(r.Method != "POST" || !strings.HasSuffix(r.Path, "/tasks")),
			"found %s %s among the routes", r.Method, r.Path)
	}
	answer := serveRequest(&standIn{}, "GET", "/culvert/openapi.json", "")
	if text := answer.Body.String(); strings.Contains(text, "/internal/") || strings.Contains(text, "/fence") {
		t.Error("found internal calls in the OpenAPI document")
	}
	for _, call := range []string{"GET /connectors", "PUT /connectors/{name}/tasks", "POST /culvert/internals", "x"} {
		func() {
			defer func() { assert.Equal(t, any("users may call "+call), recover()) }()
			s.Handle(call, nil)
		}()
	}
}

// A key needs rotation when half of the calls that a worker can remember were signed or verified here. A new key does
// not.
func TestKeyNeedsRotation(t *testing.T) {
	s := newSession(t, "")
	assert.Equal(t, false, s.NeedsRotation())
	require.NoError(t, s.SetKey([]byte(firstKey)))
	s.current.signedCalls = maxNonces / 2
	assert.Equal(t, false, s.NeedsRotation())
	r, err := http.NewRequest("POST", "http://other:8083/culvert/internal/permit", nil)
	require.NoError(t, err)
	require.NoError(t, s.Sign(r, nil))
	assert.Equal(t, true, s.NeedsRotation())
	require.NoError(t, s.SetKey([]byte(secondKey)))
	assert.Equal(t, false, s.NeedsRotation())
}

// A key is valid for a minute after its successor was read, and its nonces are remembered as long.
func TestSessionKeyOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const to = "http://a:1"
		receiver := newSession(t, "")
		earlier := newSession(t, firstKey)
		later := newSession(t, secondKey)
		call := func(by *Session) *http.Request {
			r := httptest.NewRequest("POST", to+"/culvert/internal/permit", nil)
			require.NoError(t, by.Sign(r, nil))
			return r
		}
		expect := func(want error, r *http.Request) {
			t.Helper()
			_, err := receiver.verify(r, to)
			assert.True(t, err == want, "expected %v, found %v", want, err)
		}
		expect(errNoSessionKey, call(earlier))
		require.NoError(t, receiver.SetKey([]byte(firstKey)))
		first := call(earlier)
		expect(nil, first)
		expect(errForged, call(later)) // this worker has not read the key yet
		require.NoError(t, receiver.SetKey([]byte(secondKey)))
		expect(nil, call(later))
		time.Sleep(keyOverlap - time.Second)
		require.NoError(t, receiver.SetKey([]byte(secondKey))) // read again: nothing changes
		expect(nil, call(earlier))
		expect(errRepeated, first)
		time.Sleep(time.Second)
		expect(errForged, call(earlier))
		expect(errForged, first)
		// When the key returns, its nonces are still known.
		require.NoError(t, receiver.SetKey([]byte(firstKey)))
		expect(errRepeated, first)
		expect(nil, call(earlier))
		expect(nil, call(later))
		assert.Error(t, receiver.SetKey([]byte("short")), "expected a session key of at least 16 bytes, found 5")
		expect(nil, call(earlier))
	})
}

// The number of remembered calls is bounded. When it is reached, calls are rejected until the key changes, so that no
// call is accepted twice.
func TestRememberedCallsAreBounded(t *testing.T) {
	const to = "http://a:1"
	s := newSession(t, firstKey)
	var nonce [16]byte
	for n := range maxNonces - 1 {
		nonce[0] = byte(n)
		nonce[1] = byte(n >> 8)
		nonce[2] = byte(n >> 16)
		s.current.nonces[nonce] = struct{}{}
	}
	for _, want := range []error{nil, errNonces, errNonces} {
		r := httptest.NewRequest("POST", to+"/culvert/internal/permit", nil)
		require.NoError(t, s.Sign(r, nil))
		_, err := s.verify(r, to)
		assert.True(t, err == want, "expected %v, found %v", want, err)
	}
	require.NoError(t, s.SetKey([]byte(secondKey)))
	r := httptest.NewRequest("POST", to+"/culvert/internal/permit", nil)
	require.NoError(t, s.Sign(r, nil))
	_, err := s.verify(r, to)
	require.NoError(t, err)
}

// A change of any part of a signed request invalidates it, also if the same text is split elsewhere.
func TestSignatureCoversAllParts(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := newSession(t, firstKey)
	letters := func() string {
		b := make([]byte, random.IntN(4))
		for n := range b {
			b[n] = "ab/1:"[random.IntN(5)]
		}
		return string(b)
	}
	seen := map[string]string{}
	for range 20_000 {
		parts := []string{"http://" + letters(), "P" + letters(), "/" + letters(), letters(), letters()}
		r := &http.Request{Method: parts[1], URL: &url.URL{Path: parts[2], RawQuery: parts[3]}}
		signature := string(s.current.sign("HmacSHA256", parts[0], r, parts[4]))
		request := fmt.Sprintf("%q", parts)
		previous, ok := seen[signature]
		require.True(t, !ok || previous == request, "expected different signatures of %s and %s", previous, request)
		seen[signature] = request
	}
	assert.AtLeast(t, 5_000, len(seen), "many requests")
}

// Settings of sessions and keys are checked by name.
func TestSessionSettings(t *testing.T) {
	for name, c := range map[string]struct {
		sign     string
		accepted []string
		want     string
	}{
		"default": {sign: "HmacSHA256", accepted: []string{"HmacSHA256"}},
		"several": {sign: "HmacSHA512", accepted: []string{"HmacSHA256", "HmacSHA384", "HmacSHA512"}},
		"not accepted": {
			sign:     "HmacSHA512",
			accepted: []string{"HmacSHA256"},
			want:     "inter.worker.signature.algorithm",
		},
		"unknown": {
			sign:     "doesn'texist",
			accepted: []string{"HmacSHA256"},
			want:     "inter.worker.signature.algorithm",
		},
		"none": {sign: "HmacSHA256", want: "inter.worker.signature.algorithm"},
		"broken": {
			sign:     "HmacSHA256",
			accepted: []string{"HmacSHA256", "HmacMD5"},
			want: "Invalid value HmacMD5 for configuration " +
				"inter.worker.verification.algorithms: expected HmacSHA256, HmacSHA384, HmacSHA512",
		},
	} {
		_, err := NewSession(c.sign, c.accepted)
		if c.want == "" {
			require.NoError(t, err)
			continue
		}
		assert.Error(t, err, c.want, name)
	}
	for _, c := range []struct {
		algorithm string
		bits      int
		bytes     int
		want      string
	}{
		{algorithm: "HmacSHA256", bytes: 32},
		{algorithm: "HmacSHA512", bytes: 64},
		{algorithm: "HmacSHA256", bits: 128, bytes: 16},
		{algorithm: "HmacSHA256", bits: 4096, bytes: 512},
		{algorithm: "HmacSHA256", bits: 120, want: "inter.worker.key.size"},
		{algorithm: "HmacSHA256", bits: 129, want: "inter.worker.key.size"},
		{algorithm: "HmacSHA256", bits: 4104, want: "inter.worker.key.size"},
		{algorithm: "HmacSHA256", bits: -8, want: "inter.worker.key.size"},
		{algorithm: "AES", want: "inter.worker.key.generation.algorithm"},
	} {
		key, err := NewKey(c.algorithm, c.bits)
		if c.want != "" {
			assert.Error(t, err, c.want, c)
			continue
		}
		require.NoError(t, err)
		other, _ := NewKey(c.algorithm, c.bits)
		assert.True(t, len(key) == c.bytes && !bytes.Equal(key, other),
			"%v: expected %d random bytes, found %x and %x", c, c.bytes, key, other)
	}
}

// A worker sends a signed call to another worker, and gets its response or its error.
func TestCallWorker(t *testing.T) {
	caller := newInternals(t, firstKey)
	called := newInternals(t, firstKey)
	call := func(path, body string) (string, error) {
		text, err := caller.CallWorker(t.Context(), called.url, "POST", path, []byte(body))
		return string(text), err
	}
	text, err := call("/connectors/a%20b/tasks", "[]")
	require.NoError(t, err)
	assert.Equal(t, `{"body":"[]","connector":"a b"}`, text)
	text, err = call("/culvert/internal/permit", "nothing")
	require.NoError(t, err)
	assert.Equal(t, "", text)
	for body, want := range map[string]string{
		"refuse":                            "another worker has it",
		"much":                              "expected a response of at most 8388608 bytes",
		strings.Repeat("x", maxCallBytes+1): "expected at most",
	} {
		_, err = call("/culvert/internal/permit", body)
		assert.Error(t, err, want)
		assert.Error(t, err, "POST /culvert/internal/permit at the worker "+called.url)
	}
	var refusal *Refusal
	_, err = call("/culvert/internal/permit", "refuse")
	assert.True(t, errors.As(err, &refusal) && refusal.Status == 409, "expected a refusal with 409, found %v", err)
	require.NoError(t, caller.SetKey([]byte(secondKey)))
	_, err = call("/culvert/internal/permit", "")
	assert.True(t, errors.As(err, &refusal) && refusal.Status == 403, "expected a refusal with 403, found %v", err)
	_, err = caller.CallWorker(t.Context(), "ftp://a", "POST", "/", nil)
	assert.Error(t, err, "expected http://HOST:PORT")
	redirecting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, called.url+"/culvert/internal/permit", http.StatusTemporaryRedirect)
	}))
	defer redirecting.Close()
	callsBefore := called.handledCalls.Load()
	_, err = caller.CallWorker(t.Context(), redirecting.URL, "POST", "/culvert/internal/permit", nil)
	assert.True(t, errors.As(err, &refusal) && refusal.Status == 307 && called.handledCalls.Load() == callsBefore,
		"expected no redirect to be followed, found %v", err)
}

func FuzzSigned(f *testing.F) {
	f.Add("0123456789abcdef " + strings.Repeat("0", 32) + " " + strings.Repeat("f", 64))
	f.Add("")
	f.Add(" " + strings.Repeat("A", 32) + " " + strings.Repeat("x", 64))
	f.Fuzz(func(t *testing.T, message string) {
		id, nonce, body, ok := parseSigned(message)
		joined := fmt.Sprintf("%s %x %x", id, nonce, body)
		assert.True(t, !ok || strings.EqualFold(joined, message), "expected %q, found %q", message, joined)
	})
}
